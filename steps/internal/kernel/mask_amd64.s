//go:build !purego

#include "textflag.h"

// Philox works on four counters a register, one in the low half of each quadword; what is in the high halves does not
// matter. Blocks 0, 2, 4 and 6 of a word of the mask are c0 to c3 in Y0 to Y3, the odd ones in Y4 to Y7.

DATA blocks<>+0(SB)/8, $0
DATA blocks<>+8(SB)/8, $2
DATA blocks<>+16(SB)/8, $4
DATA blocks<>+24(SB)/8, $6
GLOBL blocks<>(SB), RODATA|NOPTR, $32

DATA multipliers<>+0(SB)/8, $0xd2511f53
DATA multipliers<>+8(SB)/8, $0xcd9e8d57
GLOBL multipliers<>(SB), RODATA|NOPTR, $16

// The bits of a word's two halves.
DATA places<>+0(SB)/4, $0x00020001
DATA places<>+4(SB)/4, $0x00080004
DATA places<>+8(SB)/4, $0x00200010
DATA places<>+12(SB)/4, $0x00800040
GLOBL places<>(SB), RODATA|NOPTR, $16

// The low byte of every doubleword, in the first doubleword of each half.
DATA gather<>+0(SB)/8, $0x808080800c080400
DATA gather<>+8(SB)/8, $0x8080808080808080
DATA gather<>+16(SB)/8, $0x808080800c080400
DATA gather<>+24(SB)/8, $0x8080808080808080
GLOBL gather<>(SB), RODATA|NOPTR, $32

// ROUND is one round on both groups of counters; k is where its keys are.
#define ROUND(k) \
	VPBROADCASTD k(SI), Y10;   \
	VPBROADCASTD k+4(SI), Y11; \
	VPMULUDQ     Y0, Y14, Y8;  \
	VPMULUDQ     Y2, Y15, Y9;  \
	VPXOR        Y1, Y10, Y0;  \
	VPXOR        Y3, Y11, Y2;  \
	VPSRLQ       $32, Y9, Y1;  \
	VPSRLQ       $32, Y8, Y3;  \
	VPXOR        Y1, Y0, Y0;   \
	VPXOR        Y3, Y2, Y2;   \
	VMOVDQA      Y9, Y1;       \
	VMOVDQA      Y8, Y3;       \
	VPMULUDQ     Y4, Y14, Y8;  \
	VPMULUDQ     Y6, Y15, Y9;  \
	VPXOR        Y5, Y10, Y4;  \
	VPXOR        Y7, Y11, Y6;  \
	VPSRLQ       $32, Y9, Y5;  \
	VPSRLQ       $32, Y8, Y7;  \
	VPXOR        Y5, Y4, Y4;   \
	VPXOR        Y7, Y6, Y6;   \
	VMOVDQA      Y9, Y5;       \
	VMOVDQA      Y8, Y7

// PASSES turns a word into its bits where its halves are as large as those of Y13.
#define PASSES(word, place) \
	VPMAXUW      word, Y13, Y8;         \
	VPCMPEQW     word, Y8, Y8;          \
	VPBROADCASTD places<>+place(SB), Y9; \
	VPAND        Y8, Y9, word

// func maskAVX2(mask []uint64, keys *[20]uint32, low, high, drop uint32)
TEXT ·maskAVX2(SB), NOSPLIT, $0-44
	MOVQ         mask_base+0(FP), DI
	MOVQ         mask_len+8(FP), CX
	MOVQ         keys+24(FP), SI
	XORQ         BX, BX
	VPBROADCASTQ multipliers<>+0(SB), Y14
	VPBROADCASTQ multipliers<>+8(SB), Y15
	MOVL         low+32(FP), R8
	MOVL         high+36(FP), R9
	MOVL         drop+40(FP), AX
	MOVQ         AX, X13
	VPBROADCASTW X13, Y13

loop:
	CMPQ         BX, CX
	JGE          end
	MOVQ         BX, AX
	SHLQ         $3, AX
	MOVQ         AX, X8
	VPBROADCASTQ X8, Y8
	VPADDQ       blocks<>(SB), Y8, Y0
	VPSRLQ       $32, Y0, Y1
	MOVQ         R8, X2
	MOVQ         R9, X3
	VPBROADCASTD X2, Y2
	VPBROADCASTD X3, Y3
	INCQ         AX
	MOVQ         AX, X8
	VPBROADCASTQ X8, Y8
	VPADDQ       blocks<>(SB), Y8, Y4
	VMOVDQA      Y1, Y5
	VMOVDQA      Y2, Y6
	VMOVDQA      Y3, Y7
	ROUND(0)
	ROUND(8)
	ROUND(16)
	ROUND(24)
	ROUND(32)
	ROUND(40)
	ROUND(48)
	ROUND(56)
	ROUND(64)
	ROUND(72)
	PASSES(Y0, 0)
	PASSES(Y1, 4)
	PASSES(Y2, 8)
	PASSES(Y3, 12)
	PASSES(Y4, 0)
	PASSES(Y5, 4)
	PASSES(Y6, 8)
	PASSES(Y7, 12)
	VPOR         Y1, Y0, Y0
	VPOR         Y3, Y2, Y2
	VPOR         Y2, Y0, Y0
	VPOR         Y5, Y4, Y4
	VPOR         Y7, Y6, Y6
	VPOR         Y6, Y4, Y4

	// Both groups in one register, a block in each doubleword; the two halves of each in its low byte.
	VPSLLQ       $32, Y4, Y4
	VPBLENDD     $0xaa, Y4, Y0, Y0
	VPSRLD       $16, Y0, Y1
	VPOR         Y1, Y0, Y0
	VPSHUFB      gather<>(SB), Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPUNPCKLDQ   X1, X0, X0
	VMOVQ        X0, (DI)(BX*8)
	INCQ         BX
	JMP          loop

end:
	VZEROUPPER
	RET

//go:build !purego

#include "textflag.h"

// Words 16 and 1: two codes become high·16 + low.
DATA pairs<>+0(SB)/4, $0x00010010
GLOBL pairs<>(SB), RODATA|NOPTR, $4

DATA magnitude<>+0(SB)/4, $0x7fffffff
GLOBL magnitude<>(SB), RODATA|NOPTR, $4

// COUNT adds to the codes in Y4 to Y7 whether a threshold is below the values
// in Y0 to Y3.
#define COUNT(offset) \
	VBROADCASTSS offset(DX), Y8; \
	VCMPPS $0x11, Y0, Y8, Y9;    \
	VCMPPS $0x11, Y1, Y8, Y10;   \
	VCMPPS $0x11, Y2, Y8, Y11;   \
	VCMPPS $0x11, Y3, Y8, Y12;   \
	VPSUBD Y9, Y4, Y4;           \
	VPSUBD Y10, Y5, Y5;          \
	VPSUBD Y11, Y6, Y6;          \
	VPSUBD Y12, Y7, Y7

// func nf4CodesAVX2(dst *byte, x *float32, thresholds *[15]float32, n int, scale float32)
TEXT ·nf4CodesAVX2(SB), NOSPLIT, $0-36
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         thresholds+16(FP), DX
	MOVQ         n+24(FP), CX
	VBROADCASTSS scale+32(FP), Y15
	VPBROADCASTD pairs<>(SB), Y14

loop:
	VMULPS (SI), Y15, Y0
	VMULPS 32(SI), Y15, Y1
	VMULPS 64(SI), Y15, Y2
	VMULPS 96(SI), Y15, Y3
	VPXOR  Y4, Y4, Y4
	VPXOR  Y5, Y5, Y5
	VPXOR  Y6, Y6, Y6
	VPXOR  Y7, Y7, Y7
	COUNT(0)
	COUNT(4)
	COUNT(8)
	COUNT(12)
	COUNT(16)
	COUNT(20)
	COUNT(24)
	COUNT(28)
	COUNT(32)
	COUNT(36)
	COUNT(40)
	COUNT(44)
	COUNT(48)
	COUNT(52)
	COUNT(56)

	// Within each half of a register: words, then pairs in 32 bits, in 16, in 8.
	VPACKUSDW    Y5, Y4, Y4
	VPACKUSDW    Y7, Y6, Y6
	VPMADDWD     Y14, Y4, Y4
	VPMADDWD     Y14, Y6, Y6
	VPACKUSDW    Y6, Y4, Y4
	VPACKUSWB    Y4, Y4, Y4
	VEXTRACTI128 $1, Y4, X5

	// Two bytes of each vector lie in the lower half, the next two in the upper.
	VPUNPCKLWD X5, X4, X4
	VMOVDQU    X4, (DI)

	ADDQ $128, SI
	ADDQ $16, DI
	SUBQ $32, CX
	JNZ  loop
	VZEROUPPER
	RET

// func maxAbsAVX2(x *float32, n int) uint32
TEXT ·maxAbsAVX2(SB), NOSPLIT, $0-20
	MOVQ         x+0(FP), SI
	MOVQ         n+8(FP), CX
	VPBROADCASTD magnitude<>(SB), Y15
	VPXOR        Y0, Y0, Y0
	VPXOR        Y1, Y1, Y1

loop:
	VPAND   (SI), Y15, Y2
	VPAND   32(SI), Y15, Y3
	VPAND   64(SI), Y15, Y4
	VPAND   96(SI), Y15, Y5
	VPMAXUD Y2, Y0, Y0
	VPMAXUD Y3, Y1, Y1
	VPMAXUD Y4, Y0, Y0
	VPMAXUD Y5, Y1, Y1
	ADDQ    $128, SI
	SUBQ    $32, CX
	JNZ     loop

	VPMAXUD      Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0x4e, X0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0xb1, X0, X1
	VPMAXUD      X1, X0, X0
	VMOVD        X0, AX
	MOVL         AX, ret+16(FP)
	VZEROUPPER
	RET

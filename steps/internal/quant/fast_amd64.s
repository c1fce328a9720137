//go:build !purego

#include "textflag.h"

// Words 16 and 1: two codes become high·16 + low.
DATA pairs<>+0(SB)/4, $0x00010010
GLOBL pairs<>(SB), RODATA|NOPTR, $4

DATA nibble<>+0(SB)/4, $0x0f0f0f0f
GLOBL nibble<>(SB), RODATA|NOPTR, $4

DATA magnitude<>+0(SB)/4, $0x7fffffff
GLOBL magnitude<>(SB), RODATA|NOPTR, $4

// The largest float below one half.
DATA belowHalf<>+0(SB)/4, $0x3effffff
GLOBL belowHalf<>(SB), RODATA|NOPTR, $4

// Quarters of two packed vectors lie in this order.
DATA quarters<>+0(SB)/8, $0x0000000400000000
DATA quarters<>+8(SB)/8, $0x0000000500000001
DATA quarters<>+16(SB)/8, $0x0000000600000002
DATA quarters<>+24(SB)/8, $0x0000000700000003
GLOBL quarters<>(SB), RODATA|NOPTR, $32

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

// func pack4AVX2(dst *byte, x *float32, thresholds *[15]float32, order *[16]byte, n int, scale float32)
TEXT ·pack4AVX2(SB), NOSPLIT, $0-44
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         thresholds+16(FP), DX
	MOVQ         order+24(FP), BX
	MOVQ         n+32(FP), CX
	VBROADCASTSS scale+40(FP), Y15
	VMOVDQU      (BX), X13
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

	// Ranks become codes.
	VPBROADCASTD nibble<>(SB), X6
	VPSRLW       $4, X4, X5
	VPAND        X6, X4, X4
	VPAND        X6, X5, X5
	VPSHUFB      X4, X13, X4
	VPSHUFB      X5, X13, X5
	VPSLLW       $4, X5, X5
	VPOR         X5, X4, X4
	VMOVDQU      X4, (DI)

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

// CODES4 leaves the codes of 16 elements at (SI) in the bytes of X2.
#define CODES4 \
	VMOVQ      (SI), X0;    \
	VPSRLW     $4, X0, X1;  \
	VPAND      X11, X0, X0; \
	VPAND      X11, X1, X1; \
	VPUNPCKLBW X0, X1, X2

// func unpack4AVX2(dst *float32, packed *byte, table *[16]float32, scales *float32, blocks, n int)
TEXT ·unpack4AVX2(SB), NOSPLIT, $0-48
	MOVQ         dst+0(FP), DI
	MOVQ         packed+8(FP), SI
	MOVQ         table+16(FP), DX
	MOVQ         scales+24(FP), BX
	MOVQ         blocks+32(FP), CX
	MOVQ         n+40(FP), R8
	VMOVUPS      (DX), Y12
	VMOVUPS      32(DX), Y13
	VPBROADCASTD nibble<>(SB), X11

block:
	VBROADCASTSS (BX), Y15
	VMULPS       Y12, Y15, Y8
	VMULPS       Y13, Y15, Y9
	MOVQ         R8, R9

loop:
	// The table's halves, each looked up by three bits; the fourth chooses.
	CODES4
	VPMOVZXBD X2, Y3
	VPSRLDQ   $8, X2, X2
	VPMOVZXBD X2, Y4
	VPERMPS   Y8, Y3, Y5
	VPERMPS   Y9, Y3, Y6
	VPERMPS   Y8, Y4, Y7
	VPERMPS   Y9, Y4, Y10
	VPSLLD    $28, Y3, Y3
	VPSLLD    $28, Y4, Y4
	VBLENDVPS Y3, Y6, Y5, Y5
	VBLENDVPS Y4, Y10, Y7, Y7
	VMOVUPS   Y5, (DI)
	VMOVUPS   Y7, 32(DI)

	ADDQ $8, SI
	ADDQ $64, DI
	SUBQ $16, R9
	JNZ  loop
	ADDQ $4, BX
	DECQ CX
	JNZ  block
	VZEROUPPER
	RET

// func unpack4AVX512(dst *float32, packed *byte, table *[16]float32, scales *float32, blocks, n int)
TEXT ·unpack4AVX512(SB), NOSPLIT, $0-48
	MOVQ         dst+0(FP), DI
	MOVQ         packed+8(FP), SI
	MOVQ         table+16(FP), DX
	MOVQ         scales+24(FP), BX
	MOVQ         blocks+32(FP), CX
	MOVQ         n+40(FP), R8
	VMOVUPS      (DX), Z12
	VPBROADCASTD nibble<>(SB), X11

block:
	VBROADCASTSS (BX), Z15
	VMULPS       Z12, Z15, Z8
	MOVQ         R8, R9

loop:
	CODES4
	VPMOVZXBD X2, Z3
	VPERMPS   Z8, Z3, Z5
	VMOVUPS   Z5, (DI)

	ADDQ $8, SI
	ADDQ $64, DI
	SUBQ $16, R9
	JNZ  loop
	ADDQ $4, BX
	DECQ CX
	JNZ  block
	VZEROUPPER
	RET

// ROUND makes integers of the values at offset(SI), scaled, half away from zero.
#define ROUND(offset, to) \
	VMULPS     offset(SI), Y15, to; \
	VPAND      Y14, to, Y8;         \
	VPOR       Y13, Y8, Y8;         \
	VADDPS     Y8, to, to;          \
	VCVTTPS2DQ to, to

// func q8CodesAVX2(dst *byte, x *float32, n int, scale float32)
TEXT ·q8CodesAVX2(SB), NOSPLIT, $0-28
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS scale+24(FP), Y15
	VPCMPEQD     Y14, Y14, Y14
	VPSLLD       $31, Y14, Y14
	VPBROADCASTD belowHalf<>(SB), Y13
	VMOVDQU      quarters<>(SB), Y12

loop:
	ROUND(0, Y0)
	ROUND(32, Y1)
	ROUND(64, Y2)
	ROUND(96, Y3)

	// Four bytes of each vector lie in the lower half, the next four in the upper.
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKSSWB Y2, Y0, Y0
	VPERMD    Y0, Y12, Y0
	VMOVDQU   Y0, (DI)

	ADDQ $128, SI
	ADDQ $32, DI
	SUBQ $32, CX
	JNZ  loop
	VZEROUPPER
	RET

// func unpack8AVX2(dst *float32, codes *byte, scales *float32, blocks, n int)
TEXT ·unpack8AVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	MOVQ scales+16(FP), BX
	MOVQ blocks+24(FP), CX
	MOVQ n+32(FP), R8

block:
	VBROADCASTSS (BX), Y15
	MOVQ         R8, R9

loop:
	VPMOVSXBD (SI), Y0
	VCVTDQ2PS Y0, Y0
	VMULPS    Y15, Y0, Y0
	VMOVUPS   Y0, (DI)

	ADDQ $8, SI
	ADDQ $32, DI
	SUBQ $8, R9
	JNZ  loop
	ADDQ $4, BX
	DECQ CX
	JNZ  block
	VZEROUPPER
	RET

// func unpack8AVX512(dst *float32, codes *byte, scales *float32, blocks, n int)
TEXT ·unpack8AVX512(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	MOVQ scales+16(FP), BX
	MOVQ blocks+24(FP), CX
	MOVQ n+32(FP), R8

block:
	VBROADCASTSS (BX), Z15
	MOVQ         R8, R9

loop:
	VPMOVSXBD (SI), Z0
	VCVTDQ2PS Z0, Z0
	VMULPS    Z15, Z0, Z0
	VMOVUPS   Z0, (DI)

	ADDQ $16, SI
	ADDQ $64, DI
	SUBQ $16, R9
	JNZ  loop
	ADDQ $4, BX
	DECQ CX
	JNZ  block
	VZEROUPPER
	RET

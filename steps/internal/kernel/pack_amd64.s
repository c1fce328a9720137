//go:build !purego

#include "textflag.h"

// func transpose4(dst, src *float32, ld, nr, kc int)
// Blocks of four by four: four rows of src become four lines of dst. SSE only, which every amd64 has.
TEXT ·transpose4(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ ld+16(FP), R8
	MOVQ nr+24(FP), R9
	MOVQ kc+32(FP), CX
	SHLQ $2, R8
	SHLQ $2, R9
	LEAQ (R8)(R8*2), R10
	LEAQ (R9)(R9*2), R11
	SHRQ $2, CX
t4:
	MOVUPS   (SI), X0
	MOVUPS   (SI)(R8*1), X1
	MOVUPS   (SI)(R8*2), X2
	MOVUPS   (SI)(R10*1), X3
	MOVAPS   X0, X4
	MOVAPS   X2, X5
	UNPCKLPS X1, X0          // a0 b0 a1 b1
	UNPCKHPS X1, X4          // a2 b2 a3 b3
	UNPCKLPS X3, X2          // c0 d0 c1 d1
	UNPCKHPS X3, X5          // c2 d2 c3 d3
	MOVAPS   X0, X1
	MOVAPS   X4, X3
	SHUFPS   $0x44, X2, X0   // a0 b0 c0 d0
	SHUFPS   $0xee, X2, X1   // a1 b1 c1 d1
	SHUFPS   $0x44, X5, X4   // a2 b2 c2 d2
	SHUFPS   $0xee, X5, X3   // a3 b3 c3 d3
	MOVUPS   X0, (DI)
	MOVUPS   X1, (DI)(R9*1)
	MOVUPS   X4, (DI)(R9*2)
	MOVUPS   X3, (DI)(R11*1)
	ADDQ     $16, SI
	LEAQ     (DI)(R9*4), DI
	DECQ     CX
	JNZ      t4
	RET

// func transpose8(dst, src *float32, ld, nr, kc int)
// Blocks of eight by four: four elements of eight rows of src become four lines of dst. AVX.
TEXT ·transpose8(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ ld+16(FP), R8
	MOVQ nr+24(FP), R9
	MOVQ kc+32(FP), CX
	SHLQ $2, R8
	SHLQ $2, R9
	LEAQ (R8)(R8*2), R10
	LEAQ (R9)(R9*2), R11
	LEAQ (SI)(R8*4), BX
	LEAQ (SI)(R8*8), R12     // the next eight rows, wanted soon
	LEAQ (R12)(R8*4), R13
	SHRQ $2, CX
t8:
	PREFETCHT0  (R12)
	PREFETCHT0  (R12)(R8*1)
	PREFETCHT0  (R12)(R8*2)
	PREFETCHT0  (R12)(R10*1)
	PREFETCHT0  (R13)
	PREFETCHT0  (R13)(R8*1)
	PREFETCHT0  (R13)(R8*2)
	PREFETCHT0  (R13)(R10*1)
	VMOVUPS     (SI), X0
	VMOVUPS     (SI)(R8*1), X1
	VMOVUPS     (SI)(R8*2), X2
	VMOVUPS     (SI)(R10*1), X3
	VINSERTF128 $1, (BX), Y0, Y0
	VINSERTF128 $1, (BX)(R8*1), Y1, Y1
	VINSERTF128 $1, (BX)(R8*2), Y2, Y2
	VINSERTF128 $1, (BX)(R10*1), Y3, Y3
	VUNPCKLPS   Y1, Y0, Y4          // a0 b0 a1 b1
	VUNPCKHPS   Y1, Y0, Y5          // a2 b2 a3 b3
	VUNPCKLPS   Y3, Y2, Y6          // c0 d0 c1 d1
	VUNPCKHPS   Y3, Y2, Y7          // c2 d2 c3 d3
	VSHUFPS     $0x44, Y6, Y4, Y0   // a0 b0 c0 d0
	VSHUFPS     $0xee, Y6, Y4, Y1   // a1 b1 c1 d1
	VSHUFPS     $0x44, Y7, Y5, Y2   // a2 b2 c2 d2
	VSHUFPS     $0xee, Y7, Y5, Y3   // a3 b3 c3 d3
	VMOVUPS     Y0, (DI)
	VMOVUPS     Y1, (DI)(R9*1)
	VMOVUPS     Y2, (DI)(R9*2)
	VMOVUPS     Y3, (DI)(R11*1)
	ADDQ        $16, SI
	ADDQ        $16, BX
	ADDQ        $16, R12
	ADDQ        $16, R13
	LEAQ        (DI)(R9*4), DI
	DECQ        CX
	JNZ         t8
	VZEROUPPER
	RET

// func transpose2(dst, src *float32, ld, nr, kc int)
TEXT ·transpose2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ ld+16(FP), R8
	MOVQ nr+24(FP), R9
	MOVQ kc+32(FP), CX
	SHLQ $2, R8
	SHLQ $2, R9
	LEAQ (R9)(R9*2), R11
	SHRQ $2, CX
t2:
	MOVUPS   (SI), X0
	MOVUPS   (SI)(R8*1), X1
	MOVAPS   X0, X4
	UNPCKLPS X1, X0          // a0 b0 a1 b1
	UNPCKHPS X1, X4          // a2 b2 a3 b3
	MOVLPS   X0, (DI)
	MOVHPS   X0, (DI)(R9*1)
	MOVLPS   X4, (DI)(R9*2)
	MOVHPS   X4, (DI)(R11*1)
	ADDQ     $16, SI
	LEAQ     (DI)(R9*4), DI
	DECQ     CX
	JNZ      t2
	RET

// func lines(dst, src *float32, ld, nr, kc int)
TEXT ·lines(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ ld+16(FP), R8
	MOVQ nr+24(FP), R9
	MOVQ kc+32(FP), CX
	SHLQ $2, R8
	CMPQ R9, $16
	JEQ  sixteen
	CMPQ R9, $6
	JEQ  six
	MOVQ R9, R10
	SHRQ $2, R10             // whole fours in a line
	ANDQ $2, R9              // and a two after them
line:
	MOVQ  SI, R11
	MOVQ  R10, BX
	TESTQ BX, BX
	JZ    two
four:
	MOVUPS (R11), X0
	MOVUPS X0, (DI)
	ADDQ   $16, R11
	ADDQ   $16, DI
	DECQ   BX
	JNZ    four
two:
	TESTQ R9, R9
	JZ    next
	MOVQ  (R11), BX
	MOVQ  BX, (DI)
	ADDQ  $8, DI
next:
	ADDQ R8, SI
	DECQ CX
	JNZ  line
	RET
sixteen:                         // the width of most tiles
	MOVUPS (SI), X0
	MOVUPS 16(SI), X1
	MOVUPS 32(SI), X2
	MOVUPS 48(SI), X3
	MOVUPS X0, (DI)
	MOVUPS X1, 16(DI)
	MOVUPS X2, 32(DI)
	MOVUPS X3, 48(DI)
	ADDQ   R8, SI
	ADDQ   $64, DI
	DECQ   CX
	JNZ    sixteen
	RET
six:                             // the height of one; the middle is copied twice
	MOVUPS (SI), X0
	MOVUPS 8(SI), X1
	MOVUPS X0, (DI)
	MOVUPS X1, 8(DI)
	ADDQ   R8, SI
	ADDQ   $24, DI
	DECQ   CX
	JNZ    six
	RET

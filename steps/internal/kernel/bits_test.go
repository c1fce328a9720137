package kernel

// elementwiseBits is what TestElementwiseBits prints.
const elementwiseBits = `992c4998 Add
dceedf49 AddScaled
bfb4d01a Scale
31e45c92 Mul
e0f860fa Sum64
303a1f35 Dot64
b29be001 SumSquares
0e501919 SumSquaresFrom
955d8277 NormRow
001b026c NormRow in place
f8c0442c NormRowDot
768bfc16 NormRowBackward
dbe93845 NormRowWeights
bdbfc917 LayerNormRow
f3145c79 LayerNormRowDots
85f8afa8 LayerNormRowBackward
8082132c LayerNormRowWeights
64aa396a LayerNormRowWeights without bias
4c9c620e Rotate
1188190d Rotate back
e66d6bdb Max
354d927c ExpSlice
091a601c ExpSum
8bddc554 SigmoidSlice
859ac5b1 SiLUSlice
f67ea943 SoftmaxBackward
083fb0cb TanhSlice
5b4c1bb1 SoftCap
86407744 SoftCapBackward
c65d5384 SwiGLU
a0f21fb2 SwiGLU in place
a3df9720 SwiGLUBackward
682317c4 SwiGLUBackward in place
d058aa84 GeGLU
bb692464 GeGLUBackward
46254f14 GELU
433062b5 GELUBackward
d44d21ea GELUErf
3422bea3 GELUErfBackward
21a49ed6 AdamW
3e165dee Dropout
8b536528 DropoutAdd
b26e0661 WidenBF16
486a0f7e WidenF16
`

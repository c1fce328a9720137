package kernel

// elementwiseBits is what TestElementwiseBits prints.
const elementwiseBits = `67097b04 Add
e74021e1 AddScaled
875347fe Scale
30ceb0e2 Mul
96d07061 AddMul
9ba8a7da AddWide
b4e5561e AddMulWide
1b04f164 Sum64
0647a18b Dot64
79f51ca7 SumSquares
1a5d9fbf SumSquaresFrom
bfc11396 NormRow
0046b3b7 NormRow in place
8eb452a6 NormRowDot
cc9e889f NormRowBackward
34842608 NormRowWeights
4e369f36 LayerNormRow
6de71e6d LayerNormRowDots
99e776f8 LayerNormRowBackward
868bf55b LayerNormRowWeights
93b1328f LayerNormRowWeights without bias
bd554f77 Rotate
9f161c0b Rotate back
4b41bb5c Max
8ddf283e ExpSlice
e59471dd ExpSum
05d4a38c SigmoidSlice
a1263a2f SiLUSlice
684182a9 SoftmaxBackward
7719fb68 TanhSlice
d2e8cc45 SoftCap
2400d937 SoftCapBackward
77a2b19d SwiGLU
f96d4256 SwiGLU in place
d349b616 SwiGLUBackward
67722802 SwiGLUBackward in place
109371c8 GeGLU
97eaa86e GeGLUBackward
6eeb3fd6 GELU
dce57776 GELUBackward
8d5ca139 GELUErf
d5324dc1 GELUErfBackward
db094b1a AdamW
819a8f79 Dropout
d2f1534e DropoutAdd
b83fcff0 WidenBF16
fda0eed6 WidenF16
`

package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// builder writes GGUF files for tests.
type builder struct {
	entries bytes.Buffer
	count   uint64
	infos   bytes.Buffer
	tensors uint64
	data    bytes.Buffer
}

func u32(b *bytes.Buffer, v uint32) { b.Write(binary.LittleEndian.AppendUint32(nil, v)) }
func u64(b *bytes.Buffer, v uint64) { b.Write(binary.LittleEndian.AppendUint64(nil, v)) }
func str(b *bytes.Buffer, s string) { u64(b, uint64(len(s))); b.WriteString(s) }

// set adds a metadata entry; its Go type chooses the value type.
func (b *builder) set(key string, value any) *builder {
	b.count++
	str(&b.entries, key)
	switch v := value.(type) {
	case uint32:
		u32(&b.entries, kindU32)
		u32(&b.entries, v)
	case int32:
		u32(&b.entries, kindI32)
		u32(&b.entries, uint32(v))
	case uint64:
		u32(&b.entries, kindU64)
		u64(&b.entries, v)
	case float32:
		u32(&b.entries, kindF32)
		u32(&b.entries, math.Float32bits(v))
	case bool:
		u32(&b.entries, kindBool)
		b.entries.WriteByte(map[bool]byte{true: 1}[v])
	case string:
		u32(&b.entries, kindString)
		str(&b.entries, v)
	case []string:
		b.array(kindString, len(v))
		for _, s := range v {
			str(&b.entries, s)
		}
	case []float32:
		b.array(kindF32, len(v))
		for _, f := range v {
			u32(&b.entries, math.Float32bits(f))
		}
	case []int32:
		b.array(kindI32, len(v))
		for _, n := range v {
			u32(&b.entries, uint32(n))
		}
	case raw:
		b.entries.Write(v)
	default:
		panic(fmt.Sprintf("no value type for %T", value))
	}
	return b
}

// raw is a value's type and bytes as they stand in the file.
type raw []byte

func (b *builder) array(kind uint32, n int) {
	u32(&b.entries, kindArray)
	u32(&b.entries, kind)
	u64(&b.entries, uint64(n))
}

// info describes a tensor without adding data.
func (b *builder) info(name string, kind Type, offset uint64, shape ...uint64) *builder {
	b.tensors++
	str(&b.infos, name)
	u32(&b.infos, uint32(len(shape)))
	for i := range shape {
		u64(&b.infos, shape[len(shape)-1-i])
	}
	u32(&b.infos, uint32(kind))
	u64(&b.infos, offset)
	return b
}

// tensor adds a tensor with its data.
func (b *builder) tensor(name string, kind Type, data []byte, shape ...uint64) *builder {
	b.info(name, kind, uint64(b.data.Len()), shape...)
	b.data.Write(data)
	b.data.Write(make([]byte, (32-b.data.Len()%32)%32))
	return b
}

// floats adds an F32 tensor.
func (b *builder) floats(name string, values []float32, shape ...uint64) *builder {
	var data bytes.Buffer
	for _, v := range values {
		u32(&data, math.Float32bits(v))
	}
	return b.tensor(name, 0, data.Bytes(), shape...)
}

func (b *builder) bytes() []byte {
	out := bytes.NewBufferString("GGUF")
	u32(out, 3)
	u64(out, b.tensors)
	u64(out, b.count)
	out.Write(b.entries.Bytes())
	out.Write(b.infos.Bytes())
	out.Write(make([]byte, (32-out.Len()%32)%32))
	out.Write(b.data.Bytes())
	return out.Bytes()
}

// open reads a file from memory.
func open(b []byte) (*File, error) { return New(bytes.NewReader(b), int64(len(b))) }

// count gives n floats that are all different.
func count(n int) []float32 {
	list := make([]float32, n)
	for i := range list {
		list[i] = float32(i) + 0.25
	}
	return list
}

// tinyLlama is a model of one layer: hidden 4, two heads of 4 that share one
// key-value head, intermediate 6, a vocabulary of three byte-level tokens.
func tinyLlama() *builder {
	b := new(builder)
	b.set("general.architecture", "llama").set("general.license", "mit").set("general.name", "tiny")
	b.set("llama.embedding_length", uint32(4)).set("llama.block_count", uint32(1)).set("llama.feed_forward_length", uint32(6))
	b.set("llama.attention.head_count", uint32(2)).set("llama.attention.head_count_kv", uint32(1))
	b.set("llama.attention.key_length", uint32(4)).set("llama.context_length", uint32(16))
	b.set("llama.attention.layer_norm_rms_epsilon", float32(1e-5)).set("llama.rope.freq_base", float32(1e5))
	b.set("tokenizer.ggml.model", "gpt2").set("tokenizer.ggml.pre", "smollm")
	b.set("tokenizer.ggml.tokens", []string{"<|end|>", "a", "b", "ab", "<tool>"})
	b.set("tokenizer.ggml.token_type", []int32{3, 1, 1, 1, 4}).set("tokenizer.ggml.merges", []string{"a b"})
	b.set("tokenizer.ggml.eos_token_id", uint32(0)).set("tokenizer.chat_template", "{% if a < b %}<&>{% endif %}")
	b.floats("token_embd.weight", count(20), 5, 4).floats("output_norm.weight", count(4), 4)
	b.floats("blk.0.attn_norm.weight", count(4), 4).floats("blk.0.ffn_norm.weight", count(4), 4)
	b.floats("blk.0.attn_q.weight", count(32), 8, 4).floats("blk.0.attn_k.weight", count(16), 4, 4)
	b.floats("blk.0.attn_v.weight", count(16), 4, 4).floats("blk.0.attn_output.weight", count(32), 4, 8)
	b.floats("blk.0.ffn_gate.weight", count(24), 6, 4).floats("blk.0.ffn_up.weight", count(24), 6, 4)
	return b.floats("blk.0.ffn_down.weight", count(24), 4, 6)
}

// replaced is a file with one piece of text changed for another of the same length.
func replaced(file []byte, old, new string) []byte {
	if len(old) != len(new) || !bytes.Contains(file, []byte(old)) {
		panic(strings.Join([]string{"cannot replace", old, "by", new}, " "))
	}
	return bytes.ReplaceAll(file, []byte(old), []byte(new))
}

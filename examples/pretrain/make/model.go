package main

// The tiny llama: about 450,000 parameters.
const modelConfig = `{
  "architectures": ["LlamaForCausalLM"],
  "model_type": "llama",
  "vocab_size": 448,
  "hidden_size": 96,
  "intermediate_size": 256,
  "num_hidden_layers": 4,
  "num_attention_heads": 6,
  "num_key_value_heads": 3,
  "head_dim": 16,
  "max_position_embeddings": 256,
  "rms_norm_eps": 1e-05,
  "rope_theta": 10000.0,
  "hidden_act": "silu",
  "attention_bias": false,
  "mlp_bias": false,
  "tie_word_embeddings": true,
  "initializer_range": 0.05,
  "bos_token_id": 1,
  "eos_token_id": 2,
  "pad_token_id": 0,
  "torch_dtype": "bfloat16"
}
`

const generationConfig = `{
  "bos_token_id": 1,
  "eos_token_id": 2,
  "pad_token_id": 0
}
`

const specialTokensMap = `{
  "bos_token": "<|im_start|>",
  "eos_token": "<|im_end|>",
  "pad_token": "<|endoftext|>"
}
`

const tokenizerConfig = `{
  "tokenizer_class": "PreTrainedTokenizerFast",
  "bos_token": "<|im_start|>",
  "eos_token": "<|im_end|>",
  "pad_token": "<|endoftext|>",
  "model_max_length": 256,
  "clean_up_tokenization_spaces": false,
  "chat_template": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
}
`

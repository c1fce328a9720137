package chat

// builtin is a template for models that have none of their own.
type builtin struct {
	source string
	eos    bool // it ends answers with the eos token, which the tokenizer must name
	plain  bool // what looks like special tokens is text
}

// builtinTemplates are the templates by name. All but Llama's write no BOS: where
// the tokenizer adds one to plain text it is added to theirs.
func builtinTemplates() map[string]builtin {
	return map[string]builtin{
		ChatML:  {source: chatMLSource},
		Alpaca:  {source: alpacaSource, eos: true},
		Llama3:  {source: llama3Source},
		Mistral: {source: mistralSource, eos: true},
		Gemma:   {source: gemmaSource},
		Phi3:    {source: phi3Source},
		Vicuna:  {source: vicunaSource, eos: true},
		Zephyr:  {source: zephyrSource, eos: true, plain: true},
	}
}

// Named says whether a template has this name: the model's own, or one of ours.
func Named(kind string) bool {
	_, ok := builtinTemplates()[kind]
	return ok || kind == Model
}

// llama3Source is that of Llama 3, without tools. It begins with BOS, as Llama's own does: some
// of its tokenizers add none.
const llama3Source = `{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`

// phi3Source is that of Phi-3.
const phi3Source = `{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}`

// zephyrSource is that of Zephyr, whose role names are text.
const zephyrSource = `{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}`

// turnsSource begins templates without a place for system messages: one at the
// beginning goes before the first question, and roles alternate.
const turnsSource = `{%- set turns = messages -%}{%- set lead = '' -%}
{%- if messages[0].role == 'system' -%}
{%- set turns = messages[1:] -%}{%- set lead = messages[0].content | trim + '\n\n' -%}
{%- endif -%}
{%- for message in turns -%}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}
{{- raise_exception('after a system message, user and assistant must take turns in this template') -}}
{%- endif -%}
`

// gemmaSource is that of Gemma 1 to 3.
const gemmaSource = turnsSource + `{{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' + (lead if loop.first else '') + message.content | trim + '<end_of_turn>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\n' -}}{%- endif -%}`

// mistralSource is that of Mistral 7B Instruct, without tools.
const mistralSource = turnsSource + `{%- if message.role == 'user' -%}
{{- '[INST] ' + (lead if loop.first else '') + message.content + ' [/INST]' -}}
{%- else -%}
{{- ' ' + message.content | trim + eos_token -}}
{%- endif -%}
{%- endfor -%}`

// vicunaSource is that of Vicuna 1.1; a system message stands in for the preamble.
const vicunaSource = `{%- set turns = messages -%}
{%- if messages[0].role == 'system' -%}
{%- set turns = messages[1:] -%}
{{- messages[0].content + ' ' -}}
{%- else -%}
{{- "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions. " -}}
{%- endif -%}
{%- for message in turns -%}
{%- if message.role == 'user' -%}
{{- 'USER: ' + message.content + ' ' -}}
{%- elif message.role == 'assistant' -%}
{{- 'ASSISTANT: ' + message.content | trim + eos_token -}}
{%- else -%}
{{- raise_exception('the vicuna template has no place for the role ' + message.role) -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%}`

// chatMLSource is ChatML.
const chatMLSource = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// alpacaSource is the prompt of Stanford Alpaca. A user message is the
// instruction, a second one right after it the input; a system message stands
// in for the preamble. Responses end with the eos token, and further turns
// follow after a blank line.
const alpacaSource = `{%- set turns = messages -%}
{%- if messages[0].role == 'system' -%}
{%- set turns = messages[1:] -%}
{{- messages[0].content + '\n\n' -}}
{%- elif messages|length > 1 and messages[0].role == 'user' and messages[1].role == 'user' -%}
{{- 'Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n' -}}
{%- else -%}
{{- 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n' -}}
{%- endif -%}
{%- for message in turns -%}
{%- if message.role == 'user' and loop.index0 > 0 and turns[loop.index0 - 1].role == 'user' -%}
{{- '### Input:\n' + message.content + '\n\n' -}}
{%- elif message.role == 'user' -%}
{{- '### Instruction:\n' + message.content + '\n\n' -}}
{%- elif message.role == 'assistant' -%}
{{- '### Response:\n' + message.content + eos_token + '\n\n' -}}
{%- else -%}
{{- raise_exception('the alpaca template has no place for the role ' + message.role) -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '### Response:\n' -}}
{%- endif -%}`

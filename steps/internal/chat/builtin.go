package chat

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

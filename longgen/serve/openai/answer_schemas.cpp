#include "longgen/serve/openai/answer_schemas.h"

namespace longgen::openai {

const char* const kAnswerSchemas = R"({
"Error": {"type": "object", "required": ["error"], "properties": {
  "error": {"type": "object", "required": ["message", "type", "param", "code"], "properties": {
    "message": {"type": "string"}, "type": {"type": "string"},
    "param": {"type": ["string", "null"], "description": "The field that is wrong."},
    "code": {"type": ["string", "null"]}}}}},
"Usage": {"type": "object",
  "required": ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"],
  "properties": {
    "prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"},
    "total_tokens": {"type": "integer"},
    "prompt_tokens_details": {"type": "object", "required": ["cached_tokens"], "properties": {
      "cached_tokens": {"type": "integer", "description": "Found in the prefix cache."}}}}},
"FinishReason": {"enum": ["stop", "length", "tool_calls"]},
"TokenLogprob": {"type": "object", "required": ["token", "logprob", "bytes"], "properties": {
  "token": {"type": "string"}, "logprob": {"type": "number"},
  "bytes": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
  "top_logprobs": {"type": "array", "items": {"$ref": "#/components/schemas/TokenLogprob"}}}},
"ChatLogprobs": {"type": ["object", "null"], "required": ["content"], "properties": {
  "content": {"type": "array", "items": {"$ref": "#/components/schemas/TokenLogprob"}},
  "refusal": {"type": "null"}}},
"CompletionLogprobs": {"type": ["object", "null"],
  "required": ["text_offset", "token_logprobs", "tokens", "top_logprobs"], "properties": {
    "text_offset": {"type": "array", "items": {"type": "integer"}},
    "token_logprobs": {"type": "array", "items": {"type": ["number", "null"]}},
    "tokens": {"type": "array", "items": {"type": "string"}},
    "top_logprobs": {"type": "array", "items": {
      "type": ["object", "null"], "additionalProperties": {"type": "number"}}}}},
"PromptLogprobs": {"type": "array", "items": {"type": ["object", "null"], "additionalProperties": {
  "type": "object", "required": ["logprob", "rank", "decoded_token"], "properties": {
    "logprob": {"type": "number"}, "rank": {"type": "integer"},
    "decoded_token": {"type": "string"}}}}},
"ToolCall": {"type": "object", "required": ["id", "type", "function"], "properties": {
  "index": {"type": "integer", "description": "In streams."},
  "id": {"type": "string"}, "type": {"const": "function"},
  "function": {"type": "object", "required": ["name", "arguments"], "properties": {
    "name": {"type": "string"},
    "arguments": {"type": "string", "description": "The text of a JSON object."}}}}},
"ChatCompletion": {"type": "object",
  "required": ["model", "choices", "usage"], "properties": {
    "model": {"type": "string"},
    "choices": {"type": "array", "items": {"type": "object",
      "required": ["index", "message", "logprobs", "finish_reason"], "properties": {
        "index": {"type": "integer"},
        "message": {"type": "object", "required": ["role", "content"], "properties": {
          "role": {"const": "assistant"}, "content": {"type": ["string", "null"]},
          "refusal": {"type": "null"},
          "tool_calls": {"type": "array", "items": {"$ref": "#/components/schemas/ToolCall"}}}},
        "logprobs": {"$ref": "#/components/schemas/ChatLogprobs"},
        "finish_reason": {"$ref": "#/components/schemas/FinishReason"}}}},
    "usage": {"$ref": "#/components/schemas/Usage"},
    "prompt_logprobs": {"$ref": "#/components/schemas/PromptLogprobs"}}},
"Completion": {"type": "object",
  "required": ["model", "choices", "usage"], "properties": {
    "model": {"type": "string"},
    "choices": {"type": "array", "items": {"type": "object",
      "required": ["index", "text", "logprobs", "finish_reason"], "properties": {
        "index": {"type": "integer"}, "text": {"type": "string"},
        "logprobs": {"$ref": "#/components/schemas/CompletionLogprobs"},
        "finish_reason": {"$ref": "#/components/schemas/FinishReason"},
        "prompt_logprobs": {"$ref": "#/components/schemas/PromptLogprobs"}}}},
    "usage": {"$ref": "#/components/schemas/Usage"}}},
"ModelList": {"type": "object", "required": ["object", "data"], "properties": {
  "object": {"const": "list"},
  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}},
"Model": {"type": "object", "required": ["owned_by", "max_model_len"], "properties": {
  "owned_by": {"type": "string"}, "max_model_len": {"type": "integer"}}},
"Tokenized": {"type": "object",
  "required": ["count", "max_model_len", "tokens", "token_strs"], "properties": {
    "count": {"type": "integer"}, "max_model_len": {"type": "integer"},
    "tokens": {"type": "array", "items": {"type": "integer"}},
    "token_strs": {"type": ["array", "null"], "items": {"type": "string"}}}},
"Detokenized": {"type": "object", "required": ["prompt"],
  "properties": {"prompt": {"type": "string"}}},
"TokenizerInfo": {"type": "object", "required": ["bos_token", "eos_token", "chat_template"],
  "properties": {
    "bos_token": {"type": ["string", "null"]}, "eos_token": {"type": ["string", "null"]},
    "pad_token": {"type": ["string", "null"]}, "chat_template": {"type": ["string", "null"]}}},
"PageKinds": {"type": "object", "required": ["full", "sink", "stride", "window"], "properties": {
  "full": {"type": "integer", "description": "Pages of layers that see everything."},
  "sink": {"type": "integer", "description": "Of first blocks, which every later token sees."},
  "stride": {"type": "integer", "description": "Of blocks on the stride, which stay as well."},
  "window": {"type": "integer", "description": "Of all other blocks, until the window has passed."}}},
"ServerState": {"type": "object", "required": ["status", "model", "context", "has_chat_template",
    "layers", "block_tokens", "connections", "answers", "requests", "pages", "tokens", "steps"],
  "properties": {
    "status": {"enum": ["starting", "ok", "draining", "failed"]},
    "model": {"type": "string"}, "context": {"type": "integer"},
    "has_chat_template": {"type": "boolean"},
    "layers": {"type": "array", "description": "Layers by what they see.", "items": {
      "type": "object", "required": ["layers", "kind"], "properties": {
        "layers": {"type": "integer", "description": "How many."},
        "kind": {"enum": ["full", "sparse", "window"]},
        "sink_blocks": {"type": "integer"}, "window_blocks": {"type": "integer"},
        "stride_blocks": {"type": "integer"}, "window_tokens": {"type": "integer"}}}},
    "block_tokens": {"type": "integer", "description": "Tokens of a block, which a page holds."},
    "connections": {"type": "integer"},
    "answers": {"type": "integer", "description": "In the making."},
    "requests": {"type": "object", "required": ["running", "waiting", "each", "next"],
      "properties": {
        "running": {"type": "integer"}, "waiting": {"type": "integer"},
        "each": {"type": "array", "items": {"$ref": "#/components/schemas/RunningRequest"}},
        "next": {"type": "array", "description": "The first ones that wait, in their order.",
          "items": {"$ref": "#/components/schemas/WaitingRequest"}}}},
    "pages": {"type": "object", "required": ["capacity", "reserved", "cached", "in_use",
        "bytes_of_one", "own_by_kind", "cached_by_kind", "read_by_kind", "read_bytes_if_full"],
      "properties": {
        "capacity": {"type": "integer"},
        "reserved": {"type": "integer", "description": "The most that requests may come to hold."},
        "cached": {"type": "integer", "description": "Of the prefix cache."},
        "in_use": {"type": "integer", "description": "Held by requests or the prefix cache."},
        "bytes_of_one": {"type": "integer"},
        "own_by_kind": {"$ref": "#/components/schemas/PageKinds"},
        "cached_by_kind": {"$ref": "#/components/schemas/PageKinds"},
        "read_by_kind": {"$ref": "#/components/schemas/PageKinds"},
        "read_bytes_if_full": {"type": "integer",
          "description": "Bytes that running requests would read if all layers were full."}}},
    "tokens": {"type": "object", "required": ["prompt", "generated", "looked_up", "found"],
      "properties": {
        "prompt": {"type": "integer"}, "generated": {"type": "integer"},
        "looked_up": {"type": "integer", "description": "Of prompts, in the prefix cache."},
        "found": {"type": "integer"}}},
    "steps": {"type": "object", "required": ["number", "predicted_seconds", "measured_seconds"],
      "properties": {
        "number": {"type": "integer"}, "predicted_seconds": {"type": "number"},
        "measured_seconds": {"type": "number"}}}}},
"RunningRequest": {"type": "object", "required": ["id", "phase", "prompt_tokens", "cached_tokens",
    "tokens_in_cache", "generated_tokens", "max_new_tokens", "reserved_pages",
    "prefill_seconds_left"], "properties": {
  "id": {"type": "integer"}, "phase": {"enum": ["prefill", "decode", "paused"]},
  "prompt_tokens": {"type": "integer"},
  "cached_tokens": {"type": "integer", "description": "Of the prompt, found in the prefix cache."},
  "tokens_in_cache": {"type": "integer", "description": "Of prompt and reply, so far."},
  "generated_tokens": {"type": "integer"}, "max_new_tokens": {"type": "integer"},
  "reserved_pages": {"type": "integer", "description": "The most of its own from now on."},
  "prefill_seconds_left": {"type": "number", "description": "As predicted."}}},
"WaitingRequest": {"type": "object",
  "required": ["id", "prompt_tokens", "cached_tokens", "prefill_seconds_left"], "properties": {
    "id": {"type": "integer"}, "prompt_tokens": {"type": "integer"},
    "cached_tokens": {"type": "integer"},
    "prefill_seconds_left": {"type": "number", "description": "Until its first token."}}}
})";

}  // namespace longgen::openai

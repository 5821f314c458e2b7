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
    "pad_token": {"type": ["string", "null"]}, "chat_template": {"type": ["string", "null"]}}}
})";

}  // namespace longgen::openai

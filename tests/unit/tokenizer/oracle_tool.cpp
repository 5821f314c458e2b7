// oracle_tool.cpp: our tokenizer behind JSON lines, so that oracle_test.py can hold it against
// PyPI's.
//   oracle_tool encode DIRECTORY
//       "text" -> {"ids": [...], "plain": [...], "text": "..."} for each line of stdin
//   oracle_tool places DIRECTORY
//       "text" -> [[begin, end], ...], the bytes that each id of "plain" stands for, or the error
//   oracle_tool decode DIRECTORY
//       [ids] -> "text" for each line
//   oracle_tool convert OUT
//       one GGUF vocabulary as JSON -> OUT/tokenizer.json and OUT/tokenizer_config.json
//   oracle_tool time DIRECTORY N
//       texts as JSON lines; encodes all N times, prints {"seconds": [...], "tokens": n}
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

#include "longgen/base/check.h"
#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/tokenizer/gguf_vocabulary.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {
namespace {

void encode_lines(const Tokenizer& tokenizer) {
  for (std::string line; std::getline(std::cin, line);) {
    const auto text = parse_json(line, "stdin").get<std::string>();
    const std::vector<int32_t> ids =
        tokenizer.encode(text, {.add_special_tokens = true, .parse_special = true});
    const Json answer = {
        {"ids", ids},
        {"plain", tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false})},
        {"text", tokenizer.decode(ids, true)}};
    std::cout << dump_json(answer) << "\n";
  }
}

void place_lines(const Tokenizer& tokenizer) {
  for (std::string line; std::getline(std::cin, line);) {
    const auto text = parse_json(line, "stdin").get<std::string>();
    std::vector<ByteRange> places;
    Json answer = Json::array();
    try {
      tokenizer.encode(text, {.parse_special = false}, places);
      for (const ByteRange& place : places) answer.push_back({place.begin, place.end});
    } catch (const Error& error) {
      answer = error.what();
    }
    std::cout << dump_json(answer) << "\n";
  }
}

void decode_lines(const Tokenizer& tokenizer) {
  for (std::string line; std::getline(std::cin, line);) {
    const auto ids = parse_json(line, "stdin").get<std::vector<int32_t>>();
    std::cout << dump_json(Json(tokenizer.decode(ids, false))) << "\n";
  }
}

GgufVocabulary read_vocabulary(const JsonObject& in) {
  GgufVocabulary v;
  v.source = "stdin";
  v.model = in.string("model");
  v.pre = in.string("pre", "");
  v.tokens = in.raw("tokens").get<std::vector<std::string>>();
  if (in.has("merges")) v.merges = in.raw("merges").get<std::vector<std::string>>();
  if (in.has("scores")) v.scores = in.raw("scores").get<std::vector<float>>();
  if (in.has("token_type")) v.token_types = in.raw("token_type").get<std::vector<int64_t>>();
  const auto id = [&in](const char* key) {
    return in.has(key) ? std::optional<int64_t>(in.integer(key, 0, INT32_MAX)) : std::nullopt;
  };
  const auto flag = [&in](const char* key) {
    return in.has(key) ? std::optional<bool>(in.boolean(key, false)) : std::nullopt;
  };
  v.bos_id = id("bos_token_id");
  v.eos_id = id("eos_token_id");
  v.unk_id = id("unknown_token_id");
  v.pad_id = id("padding_token_id");
  v.add_bos = flag("add_bos_token");
  v.add_eos = flag("add_eos_token");
  v.add_space_prefix = flag("add_space_prefix");
  if (in.has("chat_template")) v.chat_template = in.string("chat_template");
  return v;
}

void convert(const fs::path& out) {
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  const Json json = parse_json(text, "stdin");
  const TokenizerFiles files = make_tokenizer_files(read_vocabulary(JsonObject(json, "stdin")));
  fs::create_directories(out);
  write_file(out / "tokenizer.json", files.tokenizer_json);
  write_file(out / "tokenizer_config.json", files.tokenizer_config_json);
}

void time_encoding(const Tokenizer& tokenizer, int rounds) {
  std::vector<std::string> texts;
  for (std::string line; std::getline(std::cin, line);)
    texts.push_back(parse_json(line, "stdin").get<std::string>());
  Json seconds = Json::array();
  size_t num_tokens = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    num_tokens = 0;
    for (const std::string& text : texts) num_tokens += tokenizer.encode(text).size();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::cout << dump_json(Json{{"seconds", seconds}, {"tokens", num_tokens}}) << "\n";
}

int run(const std::vector<std::string>& args) {
  LG_CHECK(args.size() >= 2,
           "usage: oracle_tool encode|places|decode|convert|time DIRECTORY [ROUNDS]");
  if (args[0] == "encode") {
    encode_lines(Tokenizer::load(args[1]));
  } else if (args[0] == "places") {
    place_lines(Tokenizer::load(args[1]));
  } else if (args[0] == "decode") {
    decode_lines(Tokenizer::load(args[1]));
  } else if (args[0] == "convert") {
    convert(args[1]);
  } else {
    LG_CHECK(args[0] == "time" && args.size() == 3, "unknown command ", args[0]);
    time_encoding(Tokenizer::load(args[1]), std::stoi(args[2]));
  }
  return 0;
}

}  // namespace
}  // namespace longgen

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  try {
    return longgen::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

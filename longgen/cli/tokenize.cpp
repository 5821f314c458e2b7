// longgen tokenize: text to token ids and back, a line at a time.
#include <charconv>
#include <memory>

#include "longgen/api/load.h"
#include "longgen/base/check.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/json_lines.h"
#include "longgen/cli/output.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {
namespace {

struct TokenizeOptions {
  std::string model;
  bool decode = false;
  bool special = false;
};

std::string encode_line(const Tokenizer& tokenizer, const JsonObject& line, bool special) {
  const std::vector<int32_t> ids = tokenizer.encode(
      line.string("text"), {.add_special_tokens = special, .parse_special = special});
  std::string result = "{\"ids\":[";
  for (const int32_t id : ids) {
    if (result.back() != '[') result += ',';
    char digits[16];
    result.append(digits, std::to_chars(digits, digits + sizeof(digits), id).ptr);
  }
  return result += "]}\n";
}

std::string decode_line(const Tokenizer& tokenizer, const JsonObject& line, bool special) {
  std::vector<int32_t> ids;
  for (const int64_t id : line.integers("ids", 0, INT32_MAX)) {
    ids.push_back(static_cast<int32_t>(id));
  }
  try {
    return dump_json(Json{{"text", tokenizer.decode(ids, !special)}}) + "\n";
  } catch (const Error& error) {  // an id outside the vocabulary
    LG_FAIL(line.where("ids"), ": ", error.what());
  }
}

int tokenize(const TokenizeOptions& options) {
  const Tokenizer tokenizer = open_tokenizer(options.model);
  Output output;
  JsonLines lines([&output] { output.flush(); });
  while (const std::optional<Json> value = lines.next()) {
    const JsonObject line(*value, lines.place());
    output.write(options.decode ? decode_line(tokenizer, line, options.special)
                                : encode_line(tokenizer, line, options.special));
  }
  output.flush();
  return 0;
}

}  // namespace

void add_tokenize(CommandSet& commands) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* const command = commands.add(CommandGroup::data, "tokenize",
                                         "JSON lines on stdin: {\"text\"} to {\"ids\"}, or back");
  command->add_option("MODEL", options->model, "model directory (its tokenizer.json is used)")
      ->required();
  command->add_flag("--decode", options->decode, "read {\"ids\"}, write {\"text\"}");
  command->add_flag("--special", options->special,
                    "add the special tokens that the tokenizer puts around a text, and recognise "
                    "special tokens spelled out in it; with --decode, spell them out. Without "
                    "this, they are ordinary text, and --decode leaves them out");
  commands.on_run(command, [options] { return tokenize(*options); });
}

}  // namespace longgen

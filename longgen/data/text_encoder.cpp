#include "longgen/data/text_encoder.h"

#include <utility>

namespace longgen {

TextEncoder text_encoder(const Tokenizer& tokenizer, std::string name,
                         std::optional<int32_t> begin_id, std::optional<int32_t> end_id) {
  TextEncoder encoder;
  encoder.encode = [&tokenizer](std::string_view text) {
    return tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false});
  };
  encoder.encode_places = [&tokenizer](std::string_view text, std::vector<ByteRange>& places) {
    return tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false}, places);
  };
  encoder.vocab_size = tokenizer.vocab_size();
  encoder.begin_id = begin_id;
  encoder.end_id = end_id;
  encoder.name = std::move(name);
  encoder.hash = tokenizer.hash();
  return encoder;
}

}  // namespace longgen

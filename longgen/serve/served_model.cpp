#include "longgen/serve/served_model.h"

#include <algorithm>

namespace longgen {

std::vector<std::string> ServedModel::token_bytes() const {
  const auto ends = [this](int32_t id) {
    return std::count(chat_stops.begin(), chat_stops.end(), id) > 0 ||
           std::count(text_stops.begin(), text_stops.end(), id) > 0;
  };
  std::vector<std::string> bytes(static_cast<size_t>(vocab_size));
  for (int32_t id = 0; id < vocab_size; ++id) {
    if (!tokenizer.is_special(id) && !ends(id)) {
      bytes[static_cast<size_t>(id)] = tokenizer.token_bytes(id);
    }
  }
  return bytes;
}

}  // namespace longgen

#include "longgen/data/answer_ranges.h"

#include <optional>

#include "longgen/base/check.h"

namespace longgen {
namespace {

std::optional<ByteRange> read_range(const simdjson::dom::element& item) {
  simdjson::dom::array pair;
  uint64_t begin = 0, end = 0;
  const bool good = item.get(pair) == simdjson::SUCCESS && pair.size() == 2 &&
                    pair.at(0).get(begin) == simdjson::SUCCESS &&
                    pair.at(1).get(end) == simdjson::SUCCESS;
  return good ? std::optional(ByteRange{begin, end}) : std::nullopt;
}

bool is_between_characters(std::string_view text, size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

}  // namespace

std::string read_answers(const simdjson::dom::element& field, std::string_view text,
                         std::vector<ByteRange>& answers) {
  simdjson::dom::array list;
  if (field.get(list) != simdjson::SUCCESS) {
    return "the field \"answers\": expected a list of [begin, end], in bytes of the text. Where it "
           "means something else, --text-only takes the text alone";
  }
  size_t least = 0;
  for (const simdjson::dom::element item : list) {
    const std::string where = "the field \"answers\"[" + std::to_string(answers.size()) + "]: ";
    const std::optional<ByteRange> range = read_range(item);
    if (!range) return where + "expected [begin, end], two integers from 0 on";
    const auto [begin, end] = *range;
    if (begin < least || end <= begin || end > text.size()) {
      return detail::concat(where, "expected ", least, " <= begin < end <= ", text.size(),
                            " (behind the one before it, inside the text), found [", begin, ", ",
                            end, "]");
    }
    if (!is_between_characters(text, begin) || !is_between_characters(text, end)) {
      return detail::concat(where, "expected bytes between characters of UTF-8, found [", begin,
                            ", ", end, "], which cuts one");
    }
    answers.push_back(*range);
    least = end;
  }
  return "";
}

}  // namespace longgen

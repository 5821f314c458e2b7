#include "longgen/dist/agreement.h"

#include <sstream>

#include "longgen/base/check.h"
#include "longgen/base/json.h"

namespace longgen {
namespace {

constexpr uint64_t kMaxBytes = 64 << 20;  // of the facts of a rank

/// Gives everybody's text to all.
std::vector<std::string> gather_texts(Communicator& ranks, std::string_view call,
                                      const std::string& text) {
  const auto count = static_cast<size_t>(ranks.num_ranks());
  const uint64_t own_size = text.size();
  std::vector<uint64_t> sizes(count);
  std::vector<Bytes> places;
  for (uint64_t& size : sizes) places.push_back(std::as_writable_bytes(std::span(&size, 1)));
  ranks.all_gather(call, std::as_bytes(std::span(&own_size, 1)), places).wait();
  std::vector<std::string> texts(count);
  places.clear();
  for (size_t r = 0; r < count; ++r) {
    LG_CHECK(sizes[r] <= kMaxBytes, "[", call, "] expected at most ", kMaxBytes, " bytes of rank ",
             r, ", found ", sizes[r], ".");
    texts[r].resize(sizes[r]);
    places.push_back(std::as_writable_bytes(std::span(texts[r])));
  }
  ranks.all_gather(call, std::as_bytes(std::span(text)), places).wait();
  return texts;
}

/// The first lines that differ: "learning_rate = 0.1" and "learning_rate = 0.2".
std::pair<std::string, std::string> first_difference(const std::string& a, const std::string& b) {
  std::istringstream lines_a(a), lines_b(b);
  for (;;) {
    std::string line_a, line_b;
    const bool more_a = static_cast<bool>(std::getline(lines_a, line_a));
    const bool more_b = static_cast<bool>(std::getline(lines_b, line_b));
    if (line_a != line_b || (!more_a && !more_b)) return {line_a, line_b};
  }
}

}  // namespace

void expect_agreement(Communicator& ranks, std::string_view call, const std::vector<Fact>& facts) {
  OrderedJson own = OrderedJson::array();
  for (const Fact& fact : facts) own.push_back({fact.name, fact.value});
  const std::vector<std::string> texts = gather_texts(ranks, call, dump_json(own));
  const Json first = parse_json(texts[0], "facts of rank 0");
  for (size_t r = 1; r < texts.size(); ++r) {
    const Json other = parse_json(texts[r], detail::concat("facts of rank ", r));
    LG_CHECK(other.size() == first.size(), "rank ", r, " differs from rank 0: it is of another ",
             "version of longgen.");
    for (size_t i = 0; i < first.size(); ++i) {
      if (other[i] == first[i]) continue;
      const auto [of_first, of_other] =
          first_difference(first[i].at(1).get<std::string>(), other[i].at(1).get<std::string>());
      LG_FAIL("rank ", r, " differs from rank 0 in its ", first[i].at(0).get<std::string>(),
              ":\n  rank 0: ", of_first, "\n  rank ", r, ": ", of_other,
              "\nStart all ranks with the same program, options, recipe, data and model.");
    }
  }
}

}  // namespace longgen

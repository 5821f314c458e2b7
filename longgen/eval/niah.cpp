#include "longgen/eval/niah.h"

namespace longgen {

std::string niah_needle(const std::string& kind, const std::string& key, const std::string& value) {
  return "One of the special magic " + kind + " for " + key + " is: " + value + ".";
}

PromptText niah_prompt(const std::string& kind, bool several_values, const std::string& context,
                       const std::string& query) {
  const std::string values = several_values ? kind : kind.substr(0, kind.size() - 1);
  const std::string are = several_values ? "are" : "is";
  const std::string mentioned = " for " + query + " mentioned in the provided text";
  return {(several_values ? "Some" : "A") + (" special magic " + values) + " " + are +
              " hidden within the following text. Make sure to memorize it. I will quiz you about "
              "the " +
              values + " afterwards.\n" + context + "\nWhat " +
              (several_values ? "are all" : "is") + " the special magic " + values + mentioned +
              "?",
          // The space is a part of RULER's definition.
          " The special magic " + values + mentioned + " " + are};
}

std::string draw_niah_number(RandomStream& random) {
  return std::to_string(1'000'000 + random.below(9'000'000));
}

int64_t count_in(std::string_view text, std::string_view part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace longgen

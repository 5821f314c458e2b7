#include "longgen/dist/cause.h"

#include "longgen/base/json.h"
#include "longgen/dist/rank_place.h"

namespace longgen {

std::string Cause::message() const {
  const std::string who = "rank " + std::to_string(rank);
  switch (kind) {
    case CauseKind::closed:
      return who + " closed its connections without a word: it was ended, or its host is gone.";
    case CauseKind::silent:
      return who + " has given no sign of life for " + text +
             ": it is stopped, or its host cannot be reached.";
    case CauseKind::failed:
      break;
  }
  return who + " failed: " + text;
}

std::string to_text(const Cause& cause) {
  return dump_json(OrderedJson{
      {"rank", cause.rank}, {"kind", kCauseKinds.name(cause.kind)}, {"text", cause.text}});
}

std::optional<Cause> parse_cause(const std::string& text) {
  try {
    const Json value = parse_json(text, "cause");
    const JsonObject json(value, "cause");
    return Cause{static_cast<int>(json.integer("rank", 0, kMaxRanks - 1)),
                 kCauseKinds.parse(json.string("kind"), "cause"), json.string("text")};
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace longgen

// measure/recall_questions.h: small facts to hide in a text, and questions about them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longgen {

struct RecallFact {
  std::string statement;  ///< "Room 48213 was kept for Ada Brenner."
  std::string question;   ///< "Which room was kept for Ada Brenner?"
  std::string answer;     ///< "48213", which stands in the statement
};

inline constexpr int64_t kMaxRecallFacts = 96;

/// Makes facts about `count` people (at most kMaxRecallFacts), in several wordings that ask for
/// numbers, places, names and things. No two have a person or an answer in common, and no question
/// holds its answer. The result is a function of count and seed.
std::vector<RecallFact> make_recall_facts(int64_t count, uint64_t seed);

}  // namespace longgen

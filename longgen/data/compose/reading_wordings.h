// data/compose/reading_wordings.h: questions on the corpus itself.
#pragma once

#include <array>
#include <string_view>

namespace longgen {

// clang-format off
inline constexpr auto kFollowingQuestions = std::to_array<std::string_view>({
    "Which sentence comes right after this one: \"{quote}\"?",
    "What does the text say next after \"{quote}\"?",
    "Copy the sentence that follows upon \"{quote}\"",
    "Go on from here by one sentence: \"{quote}\""});
inline constexpr auto kPrecedingQuestions = std::to_array<std::string_view>({
    "Which sentence stands just before \"{quote}\"?",
    "Copy the sentence that leads up to \"{quote}\"",
    "What does the text say last before \"{quote}\"?"});
inline constexpr auto kGapQuestions = std::to_array<std::string_view>({
    "One word is left out here. Which? \"{quote}\"",
    "Fill in the word that this quotation lacks: \"{quote}\"",
    "Complete the quotation by its missing word: \"{quote}\""});
inline constexpr auto kOrderOfTwoQuestions = std::to_array<std::string_view>({
    "Which of these beginnings of sentences comes first in the text: (a) \"{first} ...\" or (b) \"{second} ...\"?",
    "Two sentences begin so: (a) \"{first} ...\" (b) \"{second} ...\". Which one does a reader meet first?"});
inline constexpr auto kPresenceQuestions = std::to_array<std::string_view>({
    "Only one of these sentences stands in the text. Which? {choices}",
    "All but one of these sentences come from elsewhere. Which one stands above? {choices}"});
// clang-format on

}  // namespace longgen

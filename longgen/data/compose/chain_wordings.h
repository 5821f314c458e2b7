// data/compose/chain_wordings.h: how values are given to names and handed on.
#pragma once

#include <array>
#include <string_view>

namespace longgen {

// clang-format off
inline constexpr auto kStartWordings = std::to_array<std::string_view>({
    "{to} starts out holding {value}.",
    "At the outset {value} was written into {to}.",
    "Put {value} into {to} and leave it there.",
    "The first entry of {to} reads {value}.",
    "The clerk opened a page for {to} and noted {value} on it.",
    "{value} is what {to} was given to begin with."});

inline constexpr auto kHopWordings = std::to_array<std::string_view>({
    "{to} takes over whatever {from} holds.",
    "What stands in {from} is copied into {to}.",
    "{to} is made equal to {from}.",
    "From then on {to} repeats {from}.",
    "Copy {from} to {to}.",
    "The content of {from} goes to {to} as well.",
    "{to} received its content from {from}.",
    "Then {from} was read out and entered as {to}.",
    "{to} is to hold the same as {from}.",
    "Let {from} be passed on to {to}.",
    "Whoever looks into {to} finds a copy of {from}.",
    "{from} lends its content to {to}."});

inline constexpr auto kEndQuestions = std::to_array<std::string_view>({
    "What does {name} hold in the end?",
    "Which number has reached {name}?",
    "Follow the copies back to their source: what is in {name}?",
    "What would you read in {name}?",
    "With what content does {name} end up?",
    "Give the content of {name}."});

inline constexpr auto kHolderQuestions = std::to_array<std::string_view>({
    "Where did {value} arrive, from its first holder to its last?",
    "Name all that came to hold {value}, in their order.",
    "{value} was handed on and on. Through which names?"});
// clang-format on

}  // namespace longgen

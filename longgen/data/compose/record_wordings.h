// data/compose/record_wordings.h: what tables and lists are called, and how they are asked.
#pragma once

#include <array>
#include <string_view>

#include "longgen/data/compose/draw.h"

namespace longgen {

struct Column {
  std::string_view name;
  Kind kind;
};

// clang-format off
inline constexpr auto kRecordTitles = std::to_array<std::string_view>({
    "register of the {place} harbour office",
    "members' list of the {place} rowing club",
    "parish roll of {place}",
    "pay sheet of the {place} dockyard",
    "visitors' book of {place} Hall",
    "subscription list of the {place} library",
    "crew list of the {place} pilots",
    "telephone list of the {place} exchange"});

inline constexpr auto kColumns = std::to_array<Column>({
    {"town", Kind::place},
    {"number", Kind::number},
    {"badge", Kind::code},
    {"birthday", Kind::date},
    {"password", Kind::watchword},
    {"deputy", Kind::person},
    {"boat", Kind::coined}});

inline constexpr auto kFieldQuestions = std::to_array<std::string_view>({
    "What does the {title} give as \"{column}\" of {key}?",
    "In the {title}, which \"{column}\" stands beside {key}?",
    "Look up {key} in the {title}. What is the \"{column}\"?",
    "Going by the {title}, what is the \"{column}\" of {key}?",
    "{key} has an entry in the {title}. Read out its \"{column}\".",
    "The {title}, the line of {key}: \"{column}\"?"});

inline constexpr auto kReverseQuestions = std::to_array<std::string_view>({
    "In the {title}, who has \"{column}\" {value}?",
    "Whose \"{column}\" is {value}, going by the {title}?",
    "Look for {value} under \"{column}\" in the {title}. Who is it?",
    "Who has {value} under \"{column}\" in the {title}?"});
// clang-format on

}  // namespace longgen

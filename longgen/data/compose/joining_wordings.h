// data/compose/joining_wordings.h: facts that are asked for together, and how.
#pragma once

#include <array>
#include <string_view>

namespace longgen {

// clang-format off
// Visits to a mill: to be counted, to be added up.
inline constexpr auto kVisitWordings = std::to_array<std::string_view>({
    "{person} drove to the mill at {place} and brought home {amount} sacks.",
    "Once more the mill at {place} ground {amount} sacks for {person}.",
    "The miller of {place} noted {amount} sacks against the name of {person}.",
    "{amount} sacks were carried from the mill at {place} to the barn of {person}."});
inline constexpr auto kCountQuestions = std::to_array<std::string_view>({
    "How many times did {person} have corn ground at the mill of {place}?",
    "Count the times that {person} was served by the mill at {place}.",
    "On how many occasions does the text send sacks from the mill at {place} to {person}?"});
inline constexpr auto kSumQuestions = std::to_array<std::string_view>({
    "How many sacks did {person} get from the mill of {place} in all?",
    "Add up the sacks that the mill at {place} ground for {person}."});

// Weights of things: to be compared, to be put in order.
inline constexpr auto kWeightWordings = std::to_array<std::string_view>({
    "The {item} was put on the scales and came to {amount} ounces.",
    "{amount} ounces: so much the {item} weighed, case and all.",
    "Somebody weighed the {item} and wrote down {amount} ounces.",
    "For the {item} the carrier reckoned {amount} ounces."});
inline constexpr auto kHeaviestQuestions = std::to_array<std::string_view>({
    "Which is the heaviest: {items}?",
    "Of {items}, which weighs most?"});
inline constexpr auto kLightestQuestions = std::to_array<std::string_view>({
    "Which is the lightest: {items}?",
    "Of {items}, which weighs least?"});
inline constexpr auto kOrderQuestions = std::to_array<std::string_view>({
    "Name from light to heavy: {items}.",
    "Put into order, the lightest first: {items}."});

// A journey: its towns stand in the order of the text.
inline constexpr auto kTownWordings = std::to_array<std::string_view>({
    "{person} arrived in {place} with the evening coach.",
    "In {place} {person} took a room for two nights.",
    "The next letter of {person} was posted in {place}.",
    "{person} was seen on the market square of {place}.",
    "Then the road brought {person} to {place}."});
inline constexpr auto kRouteQuestions = std::to_array<std::string_view>({
    "Through which towns did {person} pass, in order?",
    "List the towns on the journey of {person}, the first one first.",
    "Where did the journey of {person} lead? Keep to the order of the text."});
inline constexpr auto kNextTownQuestions = std::to_array<std::string_view>({
    "Which town did {person} come to right after {place}?",
    "{person} left {place} for which town?"});

// A thing, who keeps it, where the keeper lives, who owns the land there: to be joined.
inline constexpr auto kKeeperWordings = std::to_array<std::string_view>({
    "The {item} was left in the care of {person}.",
    "{person} keeps the {item} under lock and key.",
    "It is {person} who looks after the {item} now."});
inline constexpr auto kHomeWordings = std::to_array<std::string_view>({
    "{person} keeps house in {place}.",
    "The windows of {person} look out on the square of {place}.",
    "Everyone in {place} knows the door of {person}."});
inline constexpr auto kLandWordings = std::to_array<std::string_view>({
    "The land around {place} belongs to {person}.",
    "{person} collects the rents of {place}.",
    "All of {place} is leased from {person}."});
inline constexpr auto kWhereQuestions = std::to_array<std::string_view>({
    "In which town should one look for the {item}?",
    "Where would a thief have to break in to get the {item}?",
    "Name the town in which the {item} is kept."});
inline constexpr auto kLandQuestions = std::to_array<std::string_view>({
    "Who owns the land of the town in which the {item} is kept?",
    "The keeper of the {item} lives on whose land?"});
// clang-format on

}  // namespace longgen

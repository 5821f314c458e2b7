// data/compose/collecting_wordings.h: facts of which several are asked for at once, and how.
#pragma once

#include <array>
#include <string_view>

#include "longgen/data/compose/draw.h"

namespace longgen {

/// Something of which a key may have several.
struct Attribute {
  Kind key, value;
  std::string_view called;                     // the key in a question, with {key}
  std::string_view thing, things;              // what the values are: one, several
  std::array<std::string_view, 4> statements;  // with {key} and {value}
  std::array<std::string_view, 2> further;     // the same of a key that has one already
};

// clang-format off
inline constexpr auto kAttributes = std::to_array<Attribute>({
    {Kind::place, Kind::long_number, "{key}", "seal number", "seal numbers",
     {"The customs house at {key} struck a seal with the number {value}.",
      "A crate from {key} bore the seal number {value}.",
      "{value} is a seal number that was given out at {key}.",
      "The clerk at {key} wrote seal number {value} into his book."},
     {"Another seal number of {key} was {value}.",
      "The harbour of {key} also lists the seal number {value}."}},
    {Kind::person, Kind::long_number, "{key}", "account number", "account numbers",
     {"{key} keeps an account with the bank under {value}.",
      "The bank opened account number {value} for {key}.",
      "Account number {value} is in the name of {key}.",
      "Interest for {key} was paid into account number {value}."},
     {"{key} had a further account, number {value}.",
      "Beside the others, account number {value} belongs to {key}."}},
    {Kind::watchword, Kind::long_number, "the vault \"{key}\"", "combination", "combinations",
     {"The vault \"{key}\" opens when {value} is dialled.",
      "Dial {value}, and the door of the vault \"{key}\" swings open.",
      "One combination of the vault \"{key}\" is {value}.",
      "The banker's wife knew {value} as a combination of the vault \"{key}\"."},
     {"The vault \"{key}\" can be opened with {value}, too.",
      "There is a spare combination for the vault \"{key}\": {value}."}},
    {Kind::ship, Kind::watchword, "the {key}", "signal", "signals",
     {"The {key} was known by the signal \"{value}\".",
      "\"{value}\", the lamps of the {key} spelled out as her signal.",
      "The signal book has \"{value}\" for the {key}.",
      "By the signal \"{value}\" every pilot could tell the {key}."},
     {"The {key} had one more signal, \"{value}\".",
      "At night the signal of the {key} was also \"{value}\"."}},
    {Kind::person, Kind::coined, "{key}", "pen name", "pen names",
     {"{key} signed some of the poems as {value}.",
      "Few readers knew that {value} was a pen name of {key}.",
      "Under the pen name of {value}, {key} wrote for the evening paper.",
      "{value} is none other than {key}, writing under a pen name."},
     {"{key} used the pen name {value} as well.",
      "The pen name {value} hid {key}, too."}},
    {Kind::place, Kind::coined, "{key}", "bell", "bells",
     {"The bell {value} hangs in the tower of {key}.",
      "In {key} they cast a bell and christened it {value}.",
      "On feast days {key} is woken by the bell {value}.",
      "{value} is the name of a bell at {key}."},
     {"{key} has the bell {value} besides.",
      "The bell {value} came to {key} later on."}},
    {Kind::item, Kind::uuid, "the {key}", "inventory tag", "inventory tags",
     {"A tag with {value} hangs from the {key}.",
      "The inventory tag {value} was printed for the {key}.",
      "Scanning the {key} gave the inventory tag {value}.",
      "In the inventory the {key} has the tag {value}."},
     {"The {key} carries a further tag, {value}.",
      "On its back the {key} also has the inventory tag {value}."}},
    {Kind::coined, Kind::uuid, "host {key}", "session id", "session ids",
     {"Host {key} opened the session {value}.",
      "Session {value} ran on host {key} until morning.",
      "The log of host {key} names session {value}.",
      "A user of host {key} was given the session id {value}."},
     {"Host {key} had session {value} open as well.",
      "Later host {key} began a session with the id {value}."}},
    {Kind::code, Kind::uuid, "device {key}", "licence", "licences",
     {"Device {key} runs under licence {value}.",
      "Licence {value} was issued for device {key}.",
      "The sticker on device {key} shows licence {value}.",
      "Support asked for a licence of device {key} and was told {value}."},
     {"Device {key} holds licence {value} besides.",
      "A renewed licence of device {key} is {value}."}},
    {Kind::person, Kind::date, "{key}", "court date", "court dates",
     {"{key} was heard by the judge on {value}.",
      "The case of {key} came before the judge on {value}.",
      "On {value} {key} had to appear in court.",
      "{value} is noted as a court date of {key}."},
     {"{key} was called to court again on {value}.",
      "Another court date of {key} was {value}."}},
    {Kind::place, Kind::date, "{key}", "flood date", "flood dates",
     {"On {value} the river flooded {key}.",
      "The high water of {value} stood in the cellars of {key}.",
      "A mark on a wall at {key} tells of the flood of {value}.",
      "{key} was under water on {value}."},
     {"{key} was flooded once more on {value}.",
      "The flood of {value} also reached {key}."}},
    {Kind::ship, Kind::cargo, "the {key}", "cargo", "cargoes",
     {"The {key} put to sea with {value}.",
      "{value} went aboard the {key} before noon.",
      "The agent of the {key} sold {value} on the quay.",
      "The freight list of the {key} shows {value}."},
     {"The {key} also took on {value}.",
      "Another cargo of the {key} was {value}."}},
});

// All that one key has; the answer always keeps to the order of the text.
inline constexpr auto kAllQuestions = std::to_array<std::string_view>({
    "Name all {things} of {key}.",
    "Which {things} of {key} does the text tell of?",
    "List every {thing} that goes with {key}.",
    "What {things} are there of {key}? None may be left out.",
    "{Key}: all {things}, please.",
    "Collect the {things} of {key}, wherever they stand."});
inline constexpr auto kOrderedQuestions = std::to_array<std::string_view>({
    "Name all {things} of {key} in the order in which they stand in the text.",
    "Which {things} of {key} come up, from the first page to the last?",
    "List the {things} of {key}; keep to the order of the text.",
    "Going through the text from its beginning, what {things} of {key} does one meet?"});
inline constexpr auto kAllReplies = std::to_array<std::string_view>({
    "They are {values}.",
    "The text gives {values}.",
    "The {things} of {key} are {values}.",
    "Of {key} one finds the {things} {values}.",
    "As {things} of {key} these are told: {values}."});

// One of each of several keys, in the order in which they are named.
inline constexpr auto kEachQuestions = std::to_array<std::string_view>({
    "What is the {thing} of each of these: {keys}?",
    "Give the {things} of {keys}, in this order.",
    "Look up {keys}: which {thing} does each have?",
    "For {keys}, name the {thing} of each, one after the other.",
    "Which {things} belong to {keys}, respectively?"});
// {wanted}: "the bell of Ravenmouth, the signal of the brig Wexorivan and ..."
inline constexpr auto kWantedQuestions = std::to_array<std::string_view>({
    "What are {wanted}?",
    "Give {wanted}.",
    "Several things are asked at once: {wanted}.",
    "Find {wanted}, and answer in this order."});
inline constexpr auto kEachReplies = std::to_array<std::string_view>({
    "They are {values}.",
    "In the order asked: {values}.",
    "One after the other, {values}.",
    "The text has {values}."});

/// How values are put one after the other.
struct ListForm {
  std::string_view between, before_last;
};
inline constexpr auto kListForms = std::to_array<ListForm>({
    {", ", " and "},
    {", ", ", and "},
    {", ", ", "},
    {"; ", "; "}});

/// How each value is put behind its key.
struct PairForm {
  std::string_view behind_key;
  ListForm list;
  std::string_view end;
};
inline constexpr auto kPairForms = std::to_array<PairForm>({
    {": ", {"; ", "; "}, ""},
    {" - ", {", ", ", "}, ""},
    {" has ", {", ", " and "}, "."},
    {": ", {", ", ", "}, "."}});
// clang-format on

}  // namespace longgen

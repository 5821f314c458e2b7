// data/compose/recall_wordings.h: how facts are stated and asked for.
#pragma once

#include <array>
#include <string_view>

#include "longgen/data/compose/draw.h"

namespace longgen {

/// One thing that can be said of a key. Every question asks for what every statement says.
struct Relation {
  Kind key, value;
  std::array<std::string_view, 4> statements;  // with {key} and {value}
  std::array<std::string_view, 3> questions;   // with {key}
};

// clang-format off
inline constexpr auto kRelations = std::to_array<Relation>({
    {Kind::person, Kind::number,
     {"{key} joined the society under membership number {value}.",
      "In the ledger of the society {value} is entered as the membership number of {key}.",
      "The card that {key} carried bore the membership number {value}.",
      "Membership number {value} was given to {key} and to nobody else."},
     {"Under which membership number did {key} join the society?",
      "What membership number does {key} hold?",
      "Give the membership number of {key}."}},
    {Kind::item, Kind::code,
     {"The {key} is kept under the catalogue mark {value}.",
      "Whoever wants to see the {key} must ask the archivist for catalogue mark {value}.",
      "On the label tied to the {key} somebody had written the catalogue mark {value}.",
      "Look for the mark {value} in the catalogue, and you will find the {key}."},
     {"Which catalogue mark belongs to the {key}?",
      "Under what mark does the catalogue list the {key}?",
      "Name the catalogue mark of the {key}."}},
    {Kind::person, Kind::place,
     {"After the war {key} settled in {value} and never left it.",
      "{value} is where {key} has lived these many years.",
      "Letters for {key} should be sent on to {value}.",
      "You will find {key} in {value}, in the last house before the river."},
     {"In which town does {key} live?",
      "To which town should a letter for {key} go?",
      "Where has {key} made a home?"}},
    {Kind::item, Kind::person,
     {"The {key} passed at last into the hands of {value}.",
      "{value} bought the {key} at an auction and would not sell it again.",
      "It was {value} who inherited the {key}.",
      "The {key} belongs to {value}, as every neighbour could have told you."},
     {"Who owns the {key}?",
      "Into whose hands did the {key} come?",
      "Name the owner of the {key}."}},
    {Kind::place, Kind::date,
     {"The bridge at {key} was opened to carriages on {value}.",
      "On {value} the first cart rolled over the new bridge at {key}.",
      "{key} waited long for its bridge, which was finished on {value}.",
      "A tablet on the bridge at {key} bears the date {value}."},
     {"On what date was the bridge at {key} opened?",
      "When did {key} get its bridge?",
      "Give the date of the bridge at {key}."}},
    {Kind::ship, Kind::cargo,
     {"The {key} came in carrying {value}.",
      "In the hold of the {key} the customs men counted {value}.",
      "Her papers show that the {key} was laden with {value}.",
      "They unloaded {value}, and then the {key} was empty."},
     {"What cargo did the {key} carry?",
      "What was found in the hold of the {key}?",
      "With what was the {key} laden?"}},
    {Kind::place, Kind::watchword,
     {"The gate of {key} opens only to the watchword \"{value}\".",
      "Say \"{value}\" at the gate of {key}, and the sentry lets you pass.",
      "At {key} the watchword for the night was \"{value}\".",
      "The sentry at {key} whispered the watchword, \"{value}\", and stepped back."},
     {"What is the watchword at {key}?",
      "Which two words open the gate of {key}?",
      "What would you say to the sentry at {key}?"}},
    {Kind::option, Kind::number,
     {"The option `{key}` has been set to {value} on every host.",
      "With `{key}` at {value}, the nightly job no longer ran out of time.",
      "We now ship with {value} as the value of `{key}`.",
      "Operators should leave `{key}` at {value}."},
     {"To what is `{key}` set?",
      "Which number does the option `{key}` have?",
      "Give the value of `{key}`."}},
    {Kind::coined, Kind::date,
     {"The comet {key} was first seen on {value}.",
      "It was on {value} that a farmer's telescope showed the comet {key}.",
      "Astronomers date the discovery of the comet {key} to {value}.",
      "Nobody knew of the comet {key} before {value}."},
     {"When was the comet {key} discovered?",
      "On which day was the comet {key} first seen?",
      "Give the date of discovery of the comet {key}."}},
    {Kind::code, Kind::place,
     {"Parcel {key} lies in the depot at {value}.",
      "The waybill of parcel {key} names {value} as its depot.",
      "Somebody in {value} has signed for parcel {key}.",
      "Parcel {key} was sent round by {value}, and there it stayed."},
     {"Where is parcel {key}?",
      "In which town did parcel {key} end up?",
      "Name the town that parcel {key} lies in."}},
});
// clang-format on

}  // namespace longgen

// eval/needle_words.h: the words that keys are made of, adjective-noun. Ordinary words, none of
// which says what a number is.
#pragma once

#include <array>
#include <string_view>

namespace longgen {

inline constexpr auto kNeedleAdjectives = std::to_array<std::string_view>(
    {"amber",    "ancient",   "bashful",  "brave",    "bright",   "brisk",  "calm",     "careful",
     "cheerful", "clever",    "copper",   "crimson",  "curious",  "dapper", "distant",  "eager",
     "early",    "elegant",   "faithful", "famous",   "fearless", "fluffy", "frosty",   "gentle",
     "golden",   "graceful",  "hidden",   "hollow",   "humble",   "jolly",  "lively",   "lonely",
     "lucky",    "marble",    "mellow",   "merry",    "mighty",   "misty",  "modest",   "narrow",
     "noble",    "patient",   "playful",  "polished", "proud",    "quiet",  "restless", "rusty",
     "silent",   "silver",    "sleepy",   "solemn",   "sturdy",   "sudden", "tender",   "thirsty",
     "velvet",   "wandering", "wise",     "wooden"});

inline constexpr auto kNeedleNouns = std::to_array<std::string_view>(
    {"anchor",   "apricot",  "badger",  "balcony",  "barrel",   "basket",   "beacon",  "bridge",
     "cabin",    "candle",   "canyon",  "carpet",   "castle",   "chimney",  "cottage", "cradle",
     "drummer",  "falcon",   "feather", "ferry",    "fountain", "gardener", "glacier", "hammer",
     "harbor",   "hedgehog", "island",  "jacket",   "kettle",   "lantern",  "ladder",  "lobster",
     "meadow",   "mirror",   "monkey",  "mountain", "nutmeg",   "orchard",  "otter",   "paddle",
     "parrot",   "pebble",   "pillow",  "pumpkin",  "quarry",   "ribbon",   "sailor",  "saddle",
     "shepherd", "spider",   "statue",  "teapot",   "thimble",  "tower",    "trumpet", "tunnel",
     "valley",   "violin",   "walnut",  "whistle"});

}  // namespace longgen

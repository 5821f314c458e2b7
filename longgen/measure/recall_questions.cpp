#include "longgen/measure/recall_questions.h"

#include <array>
#include <set>
#include <string_view>

#include "longgen/base/check.h"
#include "longgen/base/random.h"

namespace longgen {
namespace {

constexpr std::array<std::string_view, 12> kFirstNames = {"Ada",   "Bruno",  "Celia", "Dario",
                                                          "Edith", "Felix",  "Greta", "Hugo",
                                                          "Irene", "Joseph", "Klara", "Leonard"};
constexpr std::array<std::string_view, 32> kLastNames = {
    "Abbott",   "Brenner", "Castell", "Dunmore", "Ellery",  "Falk",     "Garrow",  "Hartwig",
    "Ingram",   "Jessop",  "Kimball", "Lorimer", "Marlowe", "Norcross", "Osgood",  "Penrose",
    "Quimby",   "Rothe",   "Sadler",  "Thorne",  "Upton",   "Vance",    "Whitby",  "Yardley",
    "Ashcroft", "Bellamy", "Corbin",  "Draper",  "Enfield", "Fenwick",  "Goddard", "Holbrook"};
constexpr std::array<std::string_view, 24> kPlaces = {
    "Lisbon",  "Bergen",   "Toledo",  "Odessa", "Quebec",   "Havana",  "Naples", "Riga",
    "Cordoba", "Valencia", "Dresden", "Tunis",  "Bristol",  "Lucerne", "Malta",  "Salem",
    "Cairo",   "Antwerp",  "Krakow",  "Oporto", "Savannah", "Trieste", "Turin",  "Uppsala"};
constexpr std::array<std::string_view, 24> kPets = {
    "Pepper", "Caesar", "Biscuit", "Juno",    "Rascal", "Sultan", "Clover", "Bandit",
    "Nero",   "Pickle", "Hector",  "Daisy",   "Copper", "Major",  "Ginger", "Pluto",
    "Velvet", "Rufus",  "Trixie",  "Bramble", "Dusty",  "Otto",   "Mango",  "Gypsy"};
constexpr std::array<std::string_view, 12> kColors = {"green", "silver", "yellow", "purple",
                                                      "brown", "white",  "orange", "crimson",
                                                      "blue",  "golden", "grey",   "scarlet"};
constexpr std::array<std::string_view, 12> kThings = {"teapot", "violin", "lantern", "saddle",
                                                      "pillow", "basket", "clock",   "drum",
                                                      "boot",   "kettle", "globe",   "bucket"};

enum class Answer { number, place, pet, thing };

/// %k stands for the person, %v for the answer.
struct Wording {
  Answer answer;
  std::string_view statement, question;
};
constexpr std::array<Wording, 8> kWordings = {{
    {Answer::number, "Room %v was kept for %k.", "Which room was kept for %k?"},
    {Answer::place, "%k was born in %v.", "In which town was %k born?"},
    {Answer::number, "%k sold the old mill for %v crowns.",
     "For how many crowns did %k sell the old mill?"},
    {Answer::thing, "The spare key of %k lies under %v.",
     "Under what does the spare key of %k lie?"},
    {Answer::pet, "%k owns a dog by the name of %v.", "By what name does the dog of %k go?"},
    {Answer::number, "In the ledger %k stands under number %v.",
     "Under which number does %k stand in the ledger?"},
    {Answer::place, "The letter of %k was posted in %v.",
     "From where was the letter of %k posted?"},
    {Answer::number, "The regiment of %k counted %v men.",
     "How many men did the regiment of %k count?"},
}};

template <size_t N>
std::string one_of(const std::array<std::string_view, N>& words, RandomStream& random) {
  return std::string(words[random.below(N)]);
}

std::string draw_answer(Answer kind, RandomStream& random) {
  switch (kind) {
    case Answer::place:
      return one_of(kPlaces, random);
    case Answer::pet:
      return one_of(kPets, random);
    case Answer::thing:
      return "the " + one_of(kColors, random) + " " + one_of(kThings, random);
    case Answer::number:
      break;
  }
  constexpr uint64_t kSmallest = 10'000, kCount = 90'000;
  return std::to_string(kSmallest + random.below(kCount));
}

std::string filled(std::string_view text, const std::string& person, const std::string& answer) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
    } else {
      out += text[++at] == 'k' ? person : answer;
    }
  }
  return out;
}

/// Draws until what comes is not in `used`, and adds it.
template <typename Draw>
std::string unused(std::set<std::string>& used, const Draw& draw) {
  for (;;) {
    std::string drawn = draw();
    if (used.insert(drawn).second) return drawn;
  }
}

}  // namespace

std::vector<RecallFact> make_recall_facts(int64_t count, uint64_t seed) {
  LG_CHECK(count >= 0 && count <= kMaxRecallFacts, "[measure] questions: expected at most ",
           kMaxRecallFacts, ", found ", count, ".");
  RandomStream random(seed);
  std::set<std::string> people, answers;
  std::vector<RecallFact> facts;
  for (int64_t i = 0; i < count; ++i) {
    const Wording& wording = kWordings[static_cast<size_t>(i) % kWordings.size()];
    const std::string person = unused(
        people, [&] { return one_of(kFirstNames, random) + " " + one_of(kLastNames, random); });
    const std::string answer = unused(answers, [&] { return draw_answer(wording.answer, random); });
    facts.push_back({filled(wording.statement, person, answer),
                     filled(wording.question, person, answer), answer});
  }
  return facts;
}

}  // namespace longgen

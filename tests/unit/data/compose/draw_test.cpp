#include "longgen/data/compose/draw.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "longgen/data/compose/wording.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

constexpr Kind kAllKinds[] = {Kind::person, Kind::place,  Kind::item,      Kind::ship,
                              Kind::coined, Kind::option, Kind::number,    Kind::code,
                              Kind::date,   Kind::cargo,  Kind::watchword, Kind::long_number,
                              Kind::uuid};

TEST(Draw, NoNameStandsInAnother) {
  Draw draw(1);
  for (int i = 0; i < 40; ++i) {
    for (const Kind kind : kAllKinds) draw.fresh(kind);
  }
  const std::vector<std::string>& names = draw.drawn();
  ASSERT_EQ(names.size(), 520u);
  for (const std::string& one : names) {
    EXPECT_EQ(std::ranges::count_if(
                  names, [&](const std::string& other) { return other.find(one) != other.npos; }),
              1)
        << one;
  }
}

// What a document is must not depend on the compiler: its files may be continued by another build.
TEST(Draw, NamesAreTheSameEverywhere) {
  Draw draw(7);
  std::vector<std::string> names;
  for (const Kind kind : kAllKinds) names.push_back(draw.fresh(kind));
  EXPECT_EQ(names, (std::vector<std::string>{"Ignatius Achterberg", "Wickminster", "jade chess set",
                                             "schooner Keladimund", "Dreunax", "shard_quorum_limit",
                                             "4438207", "BA-387-NV", "24 August 1888",
                                             "371 barrels of salt", "indigo leveret", "548759",
                                             "59955d67-5ccf-f508-7af3-58b95c502a4d"}));
}

TEST(Draw, ANameThatIsLikeAnotherBeginsOrEndsAsItDoes) {
  Draw draw(2);
  for (const Kind kind : {Kind::person, Kind::place, Kind::item, Kind::ship, Kind::watchword}) {
    const std::string name = draw.fresh(kind), like = draw.fresh_like(name, kind);
    EXPECT_NE(name, like);
    EXPECT_TRUE(like.starts_with(name.substr(0, 4)) || like.ends_with(name.substr(name.size() - 4)))
        << name << " | " << like;
  }
  // No name is like one that has nothing of a name of its kind: any other will do.
  EXPECT_FALSE(draw.fresh_like("#", Kind::code).empty());
  EXPECT_EQ(draw.drawn().size(), 11u);
}

TEST(Draw, ChoosesDifferentNumbersAndKeepsTheOrderOfSequences) {
  Draw draw(3);
  std::vector<size_t> chosen = draw.choose(5, 20);
  std::ranges::sort(chosen);
  EXPECT_EQ(std::adjacent_find(chosen.begin(), chosen.end()), chosen.end());
  EXPECT_LT(chosen.back(), 20u);
  EXPECT_EQ(draw.choose(9, 4).size(), 4u);
  const std::vector<std::string> mixed = draw.interleave({{"a1", "a2", "a3"}, {"b1", "b2"}, {}});
  std::string order_a, order_b;
  for (const std::string& part : mixed) (part[0] == 'a' ? order_a : order_b) += part[1];
  EXPECT_EQ(order_a, "123");
  EXPECT_EQ(order_b, "12");
}

TEST(Wording, BlanksAreFilled) {
  EXPECT_EQ(fill("{Key} is the {key}, {value}.", {{"key", "old map"}, {"value", "{key}"}}),
            "Old map is the old map, {key}.");
  EXPECT_NE(error_of([] {
              fill("{other}", {{"key", "x"}});
            }).find("internal error"),
            std::string::npos);
  EXPECT_EQ(listed(std::vector<std::string>{"a", "b", "c"}, "the "), "the a, the b and the c");
  EXPECT_EQ(listed(std::vector<std::string>{"a"}), "a");
}

}  // namespace
}  // namespace longgen

#include "longgen/data/compose/draw.h"

#include <algorithm>
#include <numeric>

#include "longgen/base/check.h"
#include "longgen/data/compose/words.h"

namespace longgen {
namespace {

std::string joined(std::string_view first, std::string_view between, std::string_view last) {
  return std::string(first).append(between).append(last);
}

}  // namespace

std::vector<size_t> Draw::choose(size_t count, size_t size) {
  std::vector<size_t> numbers(size);
  std::iota(numbers.begin(), numbers.end(), size_t{0});
  shuffle(numbers);
  numbers.resize(std::min(count, size));
  return numbers;
}

std::vector<std::string> Draw::interleave(std::vector<std::vector<std::string>> sequences) {
  std::vector<size_t> turns;
  for (size_t i = 0; i < sequences.size(); ++i) turns.insert(turns.end(), sequences[i].size(), i);
  shuffle(turns);
  std::vector<size_t> next(sequences.size(), 0);
  std::vector<std::string> mixed;
  for (const size_t i : turns) mixed.push_back(std::move(sequences[i][next[i]++]));
  return mixed;
}

std::string Draw::any(Kind kind) {
  // No O and no I, which readers take for digits.
  constexpr std::string_view kLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ";
  const auto letter = [&] { return std::string(1, pick(kLetters)); };
  const auto coined = [&] {
    const std::string_view start = pick(kCoinedStarts), middle = pick(kCoinedMiddles);
    return joined(start, middle, pick(kCoinedEnds));
  };
  switch (kind) {
    case Kind::person: {
      const std::string_view first = pick(kFirstNames);
      return joined(first, " ", pick(kSurnames));
    }
    case Kind::place: {
      const std::string_view start = pick(kPlaceStarts);
      return joined(start, "", pick(kPlaceEnds));
    }
    case Kind::item: {
      const std::string_view quality = pick(kItemQualities);
      return joined(quality, " ", pick(kItems));
    }
    case Kind::ship: {
      const std::string_view ship = pick(kShipKinds);
      return joined(ship, " ", coined());
    }
    case Kind::coined:
      return coined();
    case Kind::option: {
      const std::vector<size_t> parts = choose(2, kOptionParts.size());
      const std::string both = joined(kOptionParts[parts[0]], "_", kOptionParts[parts[1]]);
      return joined(both, "_", pick(kOptionEnds));
    }
    case Kind::number: {
      int64_t low = 1000;
      for (int64_t i = between(0, 3); i > 0; --i) low *= 10;
      return std::to_string(between(low, 10 * low - 1));
    }
    case Kind::code: {
      std::string code = letter();
      code += letter();
      code += '-';
      code += std::to_string(between(100, 999));
      code += '-';
      code += letter();
      return code += letter();
    }
    case Kind::date: {
      const std::string day = std::to_string(between(1, 28));
      const std::string month = joined(day, " ", pick(kMonths));
      return joined(month, " ", std::to_string(between(1620, 2019)));
    }
    case Kind::cargo: {
      const std::string amount = std::to_string(between(21, 989));
      return joined(amount, " ", pick(kGoods));
    }
    case Kind::watchword: {
      const std::string_view colour = pick(kColours);
      return joined(colour, " ", pick(kAnimals));
    }
    case Kind::long_number: {
      int64_t low = 10'000;
      for (int64_t i = between(0, 4); i > 0; --i) low *= 10;
      return std::to_string(between(low, 10 * low - 1));
    }
    case Kind::uuid: {
      constexpr std::string_view kDigits = "0123456789abcdef";
      std::string id = "........-....-....-....-............";
      for (char& c : id) c = c == '.' ? pick(kDigits) : c;
      return id;
    }
  }
  LG_DCHECK(false && "every kind is drawn");
  return {};
}

bool Draw::taken(const std::string& value) const {
  return std::ranges::any_of(drawn_, [&](const std::string& other) {
    return other.find(value) != std::string::npos || value.find(other) != std::string::npos;
  });
}

std::string Draw::fresh(Kind kind) {
  constexpr int kMaxDraws = 10'000;  // a document has a few hundred of each kind at most
  for (int i = 0; i < kMaxDraws; ++i) {
    std::string value = any(kind);
    if (taken(value)) continue;
    drawn_.push_back(value);
    return value;
  }
  LG_DCHECK(false && "there are names enough of each kind");
  return {};
}

std::string Draw::fresh_like(std::string_view name, Kind kind) {
  constexpr int kMaxDraws = 300;  // one in about 10 to 40 is alike
  constexpr size_t kAlike = 4;
  const std::string_view begin = name.substr(0, kAlike);
  const std::string_view end = name.substr(name.size() - std::min(kAlike, name.size()));
  for (int i = 0; i < kMaxDraws; ++i) {
    std::string value = any(kind);
    if ((!value.starts_with(begin) && !value.ends_with(end)) || taken(value)) continue;
    drawn_.push_back(value);
    return value;
  }
  return fresh(kind);
}

}  // namespace longgen

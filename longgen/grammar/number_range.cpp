#include "longgen/grammar/number_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace longgen {
namespace {

/// A number from 0 on, as digits: whole part without leading zeros, fraction without trailing ones.
struct Decimal {
  std::string whole = "0", fraction = {};
  bool is_exclusive = false;

  bool is_zero() const { return whole == "0" && fraction.empty(); }
  char digit(size_t place) const {
    if (place < whole.size()) return whole[place];
    place -= whole.size();
    return place < fraction.size() ? fraction[place] : '0';
  }
};

struct SignedDecimal {
  bool is_negative = false;
  Decimal size;
};

SignedDecimal read_decimal(const NumberBound& bound) {
  SignedDecimal number;
  std::string text = bound.text;
  number.is_negative = text.starts_with('-');
  text.erase(0, number.is_negative ? 1 : 0);
  const size_t point = text.find('.');
  number.size.whole = text.substr(0, point);
  if (point != text.npos) number.size.fraction = text.substr(point + 1);
  std::string& fraction = number.size.fraction;
  while (fraction.ends_with('0')) fraction.pop_back();
  number.size.is_exclusive = bound.is_exclusive;
  number.is_negative = number.is_negative && !number.size.is_zero();
  return number;
}

/// Numbers of one length of the whole part, between bounds that have the same length or none.
class Digits {
 public:
  Digits(size_t length, const Decimal* low, const Decimal* high, bool is_integer)
      : length_(length), low_(low), high_(high), is_integer_(is_integer) {}

  /// Empty: there are none.
  std::string ebnf() const { return from(0, low_ != nullptr, high_ != nullptr); }

 private:
  /// What follows `place` digits that are, where low or high says so, those of the bound.
  std::string from(size_t place, bool low, bool high) const {
    if (place == length_) return behind_whole(low, high);
    const char least = place == 0 && length_ > 1 ? '1' : '0';
    return digits(place, least, low, high, [&](bool l, bool h) { return from(place + 1, l, h); });
  }

  /// Alternatives by the digit at a place.
  template <typename Rest>
  std::string digits(size_t place, char least, bool low, bool high, const Rest& rest) const {
    const char first = low ? std::max(least, low_->digit(place)) : least;
    const char last = high ? high_->digit(place) : '9';
    std::vector<std::string> options;
    char begin = first;
    char end = last;
    const auto add = [&](char from, char to, bool l, bool h) {
      const std::string behind = rest(l, h);
      if (behind.empty()) return;
      options.push_back(fmt::format("[{}-{}] {}", from, to, behind));
    };
    if (first > last) return "";
    const bool low_digit = low && first == low_->digit(place);
    if (low_digit && high && first == last) {
      add(first, last, true, true);
      return joined(options);
    }
    if (low_digit) add(begin++, first, true, false);
    if (high) --end;
    if (begin <= end) add(begin, end, false, false);
    if (high) add(last, last, false, true);
    return joined(options);
  }

  static std::string joined(const std::vector<std::string>& options) {
    if (options.empty()) return "";
    return fmt::format("({})", fmt::join(options, " | "));
  }

  std::string behind_whole(bool low, bool high) const {
    // A number that ends here has a fraction of 0.
    const bool low_ends = !low || (low_->fraction.empty() && !low_->is_exclusive);
    const bool high_ends = !high || !high_->fraction.empty() || !high_->is_exclusive;
    const bool may_end = low_ends && high_ends;
    if (is_integer_) return may_end ? "\"\"" : "";
    const std::string fraction = first_of_fraction(low, high);
    if (fraction.empty()) return may_end ? "\"\"" : "";
    const std::string with_point = "\".\" " + fraction;
    return may_end ? "(" + with_point + ")?" : with_point;
  }

  std::string first_of_fraction(bool low, bool high) const {
    return digits(length_, '0', low, high, [&](bool l, bool h) { return behind(1, l, h); });
  }

  /// What follows `count` digits of the fraction.
  std::string behind(size_t count, bool low, bool high) const {
    if (!low && !high) return "[0-9]*";
    const bool low_is_over = !low || count >= low_->fraction.size();
    const bool high_is_over = !high || count >= high_->fraction.size();
    if (low_is_over && high_is_over) return behind_both(low, high);
    const std::string more = digits(length_ + count, '0', low, high,
                                    [&](bool l, bool h) { return behind(count + 1, l, h); });
    const bool may_end = low_is_over && !(low && low_->is_exclusive);
    if (more.empty()) return may_end ? "\"\"" : "";
    return may_end ? more + "?" : more;
  }

  /// All digits so far are those of the bounds, and these have only zeros left.
  std::string behind_both(bool low, bool high) const {
    if (high) {
      const bool excludes = high_->is_exclusive || (low && low_->is_exclusive);
      return excludes ? "" : "[0]*";
    }
    return low_->is_exclusive ? "[0]* [1-9] [0-9]*" : "[0-9]*";
  }

  size_t length_;
  const Decimal* low_;
  const Decimal* high_;
  bool is_integer_;
};

/// Numbers from low on, which is 0 at least, up to high, or without end.
std::vector<std::string> from_zero(const Decimal& low, const std::optional<Decimal>& high,
                                   bool is_integer) {
  std::vector<std::string> options;
  const size_t first = low.whole.size(), last = high ? high->whole.size() : first;
  for (size_t length = first; length <= last; ++length) {
    const Decimal* const least = length == first ? &low : nullptr;
    const Decimal* const most = high && length == last ? &*high : nullptr;
    const std::string text = Digits(length, least, most, is_integer).ebnf();
    if (!text.empty()) options.push_back(text);
  }
  if (!high) {
    const std::string fraction = is_integer ? "" : " (\".\" [0-9]+)?";
    options.push_back(fmt::format("[1-9] [0-9]{{{}}} [0-9]*{}", last, fraction));
  }
  return options;
}

}  // namespace

std::optional<std::string> number_range_ebnf(const std::optional<NumberBound>& low,
                                             const std::optional<NumberBound>& high,
                                             bool is_integer) {
  std::optional<SignedDecimal> least, most;
  if (low) least = read_decimal(*low);
  if (high) most = read_decimal(*high);
  std::vector<std::string> options;
  if (!most || !most->is_negative) {
    const bool begins_above = least && !least->is_negative;
    const std::optional<Decimal> end = most ? std::optional(most->size) : std::nullopt;
    options = from_zero(begins_above ? least->size : Decimal{}, end, is_integer);
  }
  if (!least || least->is_negative) {
    // Below 0 the sizes run the other way, and 0 itself has no sign.
    Decimal nearest = {.is_exclusive = true};
    if (most && most->is_negative) nearest = most->size;
    const std::optional<Decimal> farthest = least ? std::optional(least->size) : std::nullopt;
    for (const std::string& size : from_zero(nearest, farthest, is_integer)) {
      options.push_back("\"-\" (" + size + ")");
    }
  }
  if (options.empty()) return std::nullopt;
  return fmt::format("({})", fmt::join(options, " | "));
}

}  // namespace longgen

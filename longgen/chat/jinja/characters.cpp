#include "longgen/chat/jinja/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "longgen/tokenizer/unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

constexpr utf8proc_int32_t kIotaBelow = 0x345, kCapitalIota = 0x399;

std::vector<utf8proc_int32_t> decompose(uint32_t code_point, int options) {
  std::vector<utf8proc_int32_t> parts(18);
  int boundary = 0;
  const auto count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point), parts.data(),
                              static_cast<utf8proc_ssize_t>(parts.size()),
                              static_cast<utf8proc_option_t>(options), &boundary);
  parts.resize(static_cast<size_t>(std::clamp<utf8proc_ssize_t>(count, 0, 18)));
  return parts;
}

uint32_t simple_upper(uint32_t c) {
  return static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

utf8proc_category_t category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

/// The upper case of letters for which it has several characters: ligatures, and letters with marks
/// that have no upper case of their own. `iota` is what an iota below becomes. Empty for others.
std::vector<utf8proc_int32_t> several_upper(uint32_t c, utf8proc_int32_t iota) {
  if (c == 0xDF) return {'S', 'S'};
  if (c == 0x587) return {0x535, 0x552};
  const bool ligature = c == 0x149 || c == 0x1E9A || (c >= 0xFB00 && c <= 0xFB17);
  const bool marked = c == 0x1F0 || c == 0x390 || c == 0x3B0 || (c >= 0x1E96 && c <= 0x1E99) ||
                      (c >= 0x1F50 && c <= 0x1FFC);
  const bool small = category(c) == UTF8PROC_CATEGORY_LL || category(c) == UTF8PROC_CATEGORY_LT;
  if ((!ligature && !marked) || !small) return {};
  auto parts = decompose(c, ligature ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE);
  if (parts.size() < 2) return {};
  const bool has_iota = std::erase(parts, kIotaBelow) > 0;
  if (!has_iota && simple_upper(c) != c) return {};
  for (auto& part : parts) part = utf8proc_toupper(part);
  if (!has_iota) return parts;
  // Here a letter and its marks are one character where there is one.
  if (iota == kIotaBelow) parts.push_back(iota);
  const auto size =
      utf8proc_normalize_utf32(parts.data(), static_cast<utf8proc_ssize_t>(parts.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  parts.resize(static_cast<size_t>(std::max<utf8proc_ssize_t>(size, 0)));
  if (iota != kIotaBelow) parts.push_back(iota);
  return parts;
}

std::string encode(const std::vector<utf8proc_int32_t>& parts) {
  std::string out;
  for (const auto part : parts) append_utf8(static_cast<uint32_t>(part), out);
  return out;
}

std::string encode(uint32_t code_point) {
  std::string out;
  append_utf8(code_point, out);
  return out;
}

struct Range {
  uint32_t first, last;
};

/// Digits that are no decimals: superscripts, circled and the like.
constexpr Range kOtherDigits[] = {
    {0xB2, 0xB3},       {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},
    {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},
    {0x2474, 0x247C},   {0x2488, 0x2490},   {0x24EA, 0x24EA},   {0x24F5, 0x24FD},
    {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},   {0x278A, 0x2792},
    {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};

/// Unicode's Other_Lowercase and Other_Uppercase: letters with case that are no Ll and Lu, such as
/// small superscripts, Roman numerals and circled letters.
constexpr Range kOtherLower[] = {
    {0xAA, 0xAA},       {0xBA, 0xBA},       {0x2B0, 0x2B8},     {0x2C0, 0x2C1},    {0x2E0, 0x2E4},
    {0x345, 0x345},     {0x37A, 0x37A},     {0x1D2C, 0x1D6A},   {0x1D78, 0x1D78},  {0x1D9B, 0x1DBF},
    {0x2071, 0x2071},   {0x207F, 0x207F},   {0x2090, 0x209C},   {0x2170, 0x217F},  {0x24D0, 0x24E9},
    {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},   {0xA770, 0xA770},   {0xA7F8, 0xA7F9},  {0xAB5C, 0xAB5F},
    {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}};
constexpr Range kOtherUpper[] = {
    {0x2160, 0x216F}, {0x24B6, 0x24CF}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};

template <size_t size>
bool within(const Range (&ranges)[size], uint32_t c) {
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [c](const Range& range) { return c >= range.first && c <= range.last; });
}

}  // namespace

bool is_space(uint32_t c) { return (c >= 0x1C && c <= 0x1F) || char_class(c) == CharClass::space; }

size_t leading_space(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Char c = decode_utf8(text, at);
    if (!is_space(c.code_point)) break;
    at += c.length;
  }
  return at;
}

size_t trailing_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t last = previous_utf8(text, end);
    if (!is_space(decode_utf8(text, last).code_point)) break;
    end = last;
  }
  return text.size() - end;
}

std::string upper(uint32_t c) {
  const auto several = c < 0x80 ? std::vector<utf8proc_int32_t>{} : several_upper(c, kCapitalIota);
  return several.empty() ? encode(simple_upper(c)) : encode(several);
}

std::string lower(uint32_t c) {
  if (c == 0x130) return "i\xCC\x87";  // the capital I with a dot keeps it as a mark
  return encode(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

std::string title(uint32_t c) {
  if (c == 0xDF) return "Ss";  // the capital sharp s is for words in capitals
  const auto single = static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
  if (c < 0x80 || single != c) return encode(single);
  auto several = several_upper(c, kIotaBelow);
  if (several.empty()) return encode(c);
  // Of a ligature only the first letter is large, unless an apostrophe stands for it.
  for (size_t i = c == 0x149 ? 2 : 1; i < several.size(); ++i) {
    several[i] = utf8proc_tolower(several[i]);
  }
  return encode(several);
}

bool is_upper(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LU || within(kOtherUpper, c); }
bool is_lower(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || within(kOtherLower, c); }
bool is_cased(uint32_t c) {
  return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT;
}
bool is_case_ignorable(uint32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x2019;
  }
}
bool is_alpha(uint32_t c) { return char_class(c) == CharClass::letter; }
bool is_decimal(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_digit(uint32_t c) { return is_decimal(c) || within(kOtherDigits, c); }
bool is_alnum(uint32_t c) { return is_alpha(c) || char_class(c) == CharClass::number; }

}  // namespace longgen::jinja

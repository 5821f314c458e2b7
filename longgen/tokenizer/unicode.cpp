#include "longgen/tokenizer/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/tokenizer/newer_unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

// Tables cover the planes where nearly all text is; above, properties are looked up one by one.
constexpr uint32_t kTableSize = 0x20000;

struct Category {
  char major, minor;
};

Category category_of(uint32_t code_point) {
  if (const NewerRange* newer = find_newer_range(code_point)) {
    return {newer->category[0], newer->category[1]};
  }
  const char* const name = utf8proc_category_string(static_cast<utf8proc_int32_t>(code_point));
  return {name[0], name[1]};
}

bool is_white_space(uint32_t code_point, Category category) {
  return (code_point >= 9 && code_point <= 13) || code_point == 0x85 || category.major == 'Z';
}

CharClass find_class(uint32_t code_point) {
  const Category category = category_of(code_point);
  if (category.major == 'L') return CharClass::letter;
  if (category.major == 'N') return CharClass::number;
  return is_white_space(code_point, category) ? CharClass::space : CharClass::other;
}

std::vector<CharClass> make_class_table() {
  std::vector<CharClass> table(kTableSize);
  for (uint32_t c = 0; c < kTableSize; ++c) table[c] = find_class(c);
  return table;
}

/// Returns the NFC of valid UTF-8.
std::string compose(std::string_view text) {
  utf8proc_uint8_t* result = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owned(result, std::free);
  LG_CHECK(size >= 0, "[tokenizer] Unicode normalization of ", text.size(),
           " bytes failed: ", utf8proc_errmsg(size), ".");
  return {reinterpret_cast<const char*>(result), static_cast<size_t>(size)};
}

/// Marks the characters that normalization leaves alone wherever they stand: starters that are
/// their own composition and that never combine with what stands before them. A text of these alone
/// is in NFC.
std::vector<bool> make_inert_table() {
  std::vector<bool> inert(kTableSize, true);
  for (uint32_t c = 0; c < kTableSize; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    utf8proc_int32_t parts[8];
    int boundary = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 8,
                                               UTF8PROC_DECOMPOSE, &boundary);
    // In every composition the last part is the one that combines with something before it.
    const bool decomposes = count > 1 || (count == 1 && static_cast<uint32_t>(parts[0]) != c);
    if (!decomposes) {
      if (utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class != 0)
        inert[c] = false;
      continue;
    }
    std::string whole;
    append_utf8(c, whole);
    if (compose(whole) != whole) inert[c] = false;
    for (int i = 1; i < count && i < 8; ++i) {
      if (static_cast<uint32_t>(parts[i]) < kTableSize)
        inert[static_cast<uint32_t>(parts[i])] = false;
    }
  }
  for (uint32_t jamo = 0x1161; jamo <= 0x11FF; ++jamo) inert[jamo] = false;
  return inert;
}

bool is_inert(uint32_t code_point) {
  static const std::vector<bool> table = make_inert_table();
  return code_point < kTableSize && table[code_point];
}

/// Finds the first byte that plain scanning cannot prove to be in NFC. All below U+0300 is.
size_t first_doubtful(std::string_view text, size_t from) {
  for (size_t i = from; i < text.size();) {
    const Utf8Char c = decode_valid_utf8(text.data() + i);
    if (c.code_point >= 0x300 && !is_inert(c.code_point)) return i;
    i += c.length;
  }
  return text.size();
}

/// Finds the end of the doubtful characters: the next inert one, across whose start there is
/// nothing that composes.
size_t first_inert(std::string_view text, size_t from) {
  for (size_t i = from; i < text.size();) {
    const Utf8Char c = decode_valid_utf8(text.data() + i);
    if (is_inert(c.code_point)) return i;
    i += c.length;
  }
  return text.size();
}

}  // namespace

CharClass char_class(uint32_t code_point) {
  static const std::vector<CharClass> table = make_class_table();
  return code_point < kTableSize ? table[code_point] : find_class(code_point);
}

bool is_word_char(uint32_t code_point) {
  const Category category = category_of(code_point);
  if (category.major == 'L' || category.major == 'M') return true;
  if (category.major == 'N') return category.minor != 'o';
  if (category.major == 'P') return category.minor == 'c';
  // Circled and squared Latin letters are alphabetic symbols; the last two are the joiners.
  const auto within = [code_point](uint32_t low, uint32_t high) {
    return code_point >= low && code_point <= high;
  };
  return within(0x24B6, 0x24E9) || within(0x1F130, 0x1F149) || within(0x1F150, 0x1F169) ||
         within(0x1F170, 0x1F189) || within(0x200C, 0x200D);
}

bool normalize_nfc_if_needed(std::string_view text, std::string& out,
                             std::vector<TextEdit>* edits) {
  size_t doubtful = first_doubtful(text, 0);
  if (doubtful == text.size()) return false;
  size_t copied = 0;
  while (doubtful < text.size()) {
    // A doubtful character may combine with the inert one before it.
    const size_t start = doubtful > copied ? previous_utf8(text, doubtful) : doubtful;
    const size_t end = first_inert(text, doubtful);
    out.append(text.substr(copied, start - copied));
    const std::string composed = compose(text.substr(start, end - start));
    out.append(composed);
    if (edits != nullptr) edits->push_back({start, end, composed.size()});
    copied = end;
    doubtful = first_doubtful(text, end);
  }
  out.append(text.substr(copied));
  return true;
}

}  // namespace longgen

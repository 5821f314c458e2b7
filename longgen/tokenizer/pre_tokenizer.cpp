#include "longgen/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <string>

#include "longgen/base/check.h"
#include "longgen/tokenizer/component.h"
#include "longgen/tokenizer/normalizer.h"
#include "longgen/tokenizer/splitters.h"
#include "longgen/tokenizer/unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

/// What becomes of the delimiters that a Split has found.
enum class Behavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

Behavior read_behavior(const JsonObject& component) {
  const std::string name = component.string("behavior");
  if (name == "Isolated") return Behavior::isolated;
  if (name == "Removed") return Behavior::removed;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  if (name == "Contiguous") return Behavior::contiguous;
  LG_FAIL(
      component.where("behavior"),
      ": expected Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous, found \"",
      name.substr(0, 60), "\".");
}

struct Stretch {
  size_t begin, end;
  bool is_match;
};

/// Joins stretches as the behaviour says; what is_match means afterwards does not matter.
std::vector<Stretch> merge(const std::vector<Stretch>& found, Behavior behavior) {
  std::vector<Stretch> parts;
  bool previous = false;
  const auto add = [&](const Stretch& stretch) {
    const bool joins = behavior == Behavior::contiguous ? stretch.is_match == previous
                                                        : stretch.is_match && !previous;
    if (joins && !parts.empty()) {
      parts.back().begin = std::min(parts.back().begin, stretch.begin);
      parts.back().end = std::max(parts.back().end, stretch.end);
    } else {
      parts.push_back(stretch);
    }
    previous = stretch.is_match;
  };
  if (behavior == Behavior::merged_with_next) {
    std::for_each(found.rbegin(), found.rend(), add);
    std::reverse(parts.begin(), parts.end());
  } else {
    std::for_each(found.begin(), found.end(), add);
  }
  return parts;
}

void give(const Piece& piece, size_t begin, size_t end, PieceSink& next) {
  if (begin != end)
    next.take({piece.text.substr(begin, end - begin), piece.at_start && begin == 0});
}

class SplitStep : public PreTokenStep {
 public:
  SplitStep(Regex regex, Behavior behavior, bool invert)
      : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}

  void run(const Piece& piece, RegexScratch& scratch, PieceSink& next) const override {
    std::vector<Stretch> found;
    for_each_stretch(regex_, piece.text, scratch, [&](size_t begin, size_t end, bool is_match) {
      is_match = is_match != invert_;
      if (behavior_ == Behavior::isolated || (behavior_ == Behavior::removed && !is_match)) {
        give(piece, begin, end, next);
      } else if (behavior_ != Behavior::removed) {
        found.push_back({begin, end, is_match});
      }
    });
    for (const Stretch& part : merge(found, behavior_)) give(piece, part.begin, part.end, next);
  }

 private:
  Regex regex_;
  Behavior behavior_;
  bool invert_;
};

/// Splits with one of the patterns of splitters.h, with behaviour Isolated.
class KnownSplitStep : public PreTokenStep {
 public:
  explicit KnownSplitStep(Splitter splitter) : splitter_(splitter) {}
  void run(const Piece& piece, RegexScratch&, PieceSink& next) const override {
    for (size_t i = 0; i < piece.text.size();) {
      const size_t end = splitter_(piece.text, i);
      give(piece, i, end, next);
      i = end;
    }
  }

 private:
  Splitter splitter_;
};

class DigitsStep : public PreTokenStep {
 public:
  explicit DigitsStep(bool individual) : individual_(individual) {}
  void run(const Piece& piece, RegexScratch&, PieceSink& next) const override {
    size_t begin = 0;
    bool was_digit = false;
    for (size_t i = 0; i < piece.text.size();) {
      const Utf8Char c = decode_valid_utf8(piece.text.data() + i);
      const bool digit = c.code_point < 0x80 ? c.code_point >= '0' && c.code_point <= '9'
                                             : char_class(c.code_point) == CharClass::number;
      if (digit != was_digit || (digit && individual_)) {
        give(piece, begin, i, next);
        begin = i;
      }
      was_digit = digit;
      i += c.length;
    }
    give(piece, begin, piece.text.size(), next);
  }

 private:
  bool individual_;
};

class PrefixSpaceStep : public PreTokenStep {
 public:
  void run(const Piece& piece, RegexScratch&, PieceSink& next) const override {
    if (piece.text.starts_with(' ')) return next.take(piece);
    const std::string text = " " + std::string(piece.text);
    next.take({text, piece.at_start});
  }
};

class MetaspaceStep : public PreTokenStep {
 public:
  enum class Prepend { always, first, never };
  MetaspaceStep(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(split) {}

  void run(const Piece& piece, RegexScratch&, PieceSink& next) const override {
    std::string text;
    const bool prepends =
        prepend_ == Prepend::always || (prepend_ == Prepend::first && piece.at_start);
    if (prepends && !piece.text.starts_with(replacement_) && !piece.text.starts_with(' '))
      text = replacement_;
    append_replaced(piece.text, " ", replacement_, text);
    const Piece whole{text, piece.at_start};
    if (!split_) return next.take(whole);
    size_t begin = 0;
    while (begin < text.size()) {
      const size_t end = std::min(text.find(replacement_, begin + 1), text.size());
      give(whole, begin, end, next);
      begin = end;
    }
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

std::unique_ptr<PreTokenStep> read_split(const JsonObject& component) {
  check_keys(component, {"type", "pattern", "behavior", "invert"});
  const PatternField pattern = read_pattern(component, "pattern");
  const Behavior behavior = read_behavior(component);
  const bool invert = component.boolean("invert", false);
  const Splitter known =
      pattern.is_regex && behavior == Behavior::isolated ? find_splitter(pattern.text) : nullptr;
  if (known != nullptr) return std::make_unique<KnownSplitStep>(known);
  return std::make_unique<SplitStep>(pattern.compile(), behavior, invert);
}

std::unique_ptr<PreTokenStep> read_metaspace(const JsonObject& component) {
  check_keys(component, {"type", "replacement", "prepend_scheme", "split", "add_prefix_space"});
  const std::string scheme = component.string("prepend_scheme", "always");
  using Prepend = MetaspaceStep::Prepend;
  LG_CHECK(scheme == "always" || scheme == "first" || scheme == "never",
           component.where("prepend_scheme"), ": expected always, first or never, found \"",
           scheme.substr(0, 60), "\".");
  Prepend prepend = scheme == "always"  ? Prepend::always
                    : scheme == "first" ? Prepend::first
                                        : Prepend::never;
  if (!component.boolean("add_prefix_space", true)) {
    LG_CHECK(scheme == "never" || !component.has("prepend_scheme"),
             component.where("add_prefix_space"), ": false contradicts prepend_scheme \"", scheme,
             "\".");
    prepend = Prepend::never;
  }
  return std::make_unique<MetaspaceStep>(read_char(component, "replacement"), prepend,
                                         component.boolean("split", true));
}

std::unique_ptr<PreTokenStep> read_step(const JsonObject& component) {
  const std::string type = component.string("type");
  if (type == "Split") return read_split(component);
  if (type == "Metaspace") return read_metaspace(component);
  if (type == "Digits") {
    check_keys(component, {"type", "individual_digits"});
    return std::make_unique<DigitsStep>(component.boolean("individual_digits", false));
  }
  check_keys(component, {"type"});
  const bool words = type == "Whitespace";
  if (words || type == "WhitespaceSplit") {
    // Whitespace is Rust's regex, whose \w has the joiners U+200C and U+200D.
    const char* const pattern =
        words ? R"([\w\x{200C}\x{200D}]+|[^\w\s\x{200C}\x{200D}]+)" : R"(\S+)";
    return std::make_unique<SplitStep>(Regex::pattern(pattern, component.where("type")),
                                       Behavior::removed, true);
  }
  refuse_type(component, "pre-tokenizer",
              "Sequence, Split, Digits, ByteLevel, Metaspace, Whitespace, WhitespaceSplit");
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const JsonObject& root) {
  PreTokenizer result;
  for_each_component(root, "pre_tokenizer", "pretokenizers", [&](const JsonObject& component) {
    LG_CHECK(!result.byte_level_, component.where("type"),
             ": expected ByteLevel to be the last pre-tokenizer, found another one after it.");
    if (component.string("type") != "ByteLevel") {
      result.steps_.push_back(read_step(component));
      return;
    }
    check_keys(component, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    result.adds_prefix_space_ = component.boolean("add_prefix_space", true);
    if (*result.adds_prefix_space_) result.steps_.push_back(std::make_unique<PrefixSpaceStep>());
    if (component.boolean("use_regex", true)) {
      result.steps_.push_back(std::make_unique<KnownSplitStep>(find_splitter(kGpt2Pattern)));
    }
    result.byte_level_ = true;
  });
  return result;
}

/// Hands pieces to the step at `index`.
class PreTokenizer::Link : public PieceSink {
 public:
  Link(const PreTokenizer& owner, size_t index, RegexScratch& scratch, PieceSink& words)
      : owner_(owner), index_(index), scratch_(scratch), words_(words) {}
  void take(const Piece& piece) override { owner_.run_from(index_, piece, scratch_, words_); }

 private:
  const PreTokenizer& owner_;
  size_t index_;
  RegexScratch& scratch_;
  PieceSink& words_;
};

void PreTokenizer::run_from(size_t index, const Piece& piece, RegexScratch& scratch,
                            PieceSink& words) const {
  if (piece.text.empty()) return;
  if (index == steps_.size()) return words.take(piece);
  if (index + 1 == steps_.size()) return steps_[index]->run(piece, scratch, words);
  Link link(*this, index + 1, scratch, words);
  steps_[index]->run(piece, scratch, link);
}

void PreTokenizer::run(const Piece& piece, RegexScratch& scratch, PieceSink& words) const {
  run_from(0, piece, scratch, words);
}

}  // namespace longgen

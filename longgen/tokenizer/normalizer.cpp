#include "longgen/tokenizer/normalizer.h"

#include "longgen/base/check.h"
#include "longgen/tokenizer/component.h"
#include "longgen/tokenizer/unicode.h"

namespace longgen {

void append_replaced(std::string_view text, std::string_view from, std::string_view to,
                     std::string& out, std::vector<TextEdit>* edits) {
  size_t done = 0;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, done)) {
    out.append(text.substr(done, at - done)).append(to);
    done = at + from.size();
    if (edits != nullptr) edits->push_back({at, done, to.size()});
  }
  out.append(text.substr(done));
}

void append_replaced(std::string_view text, const Regex& from, std::string_view to,
                     RegexScratch& scratch, std::string& out, std::vector<TextEdit>* edits) {
  for_each_stretch(from, text, scratch, [&](size_t begin, size_t end, bool is_match) {
    if (is_match && edits != nullptr) edits->push_back({begin, end, to.size()});
    out.append(is_match ? to : text.substr(begin, end - begin));
  });
}

Normalizer::Step Normalizer::read_step(const JsonObject& component) {
  const std::string type = component.string("type");
  if (type == "Prepend") {
    check_keys(component, {"type", "prepend"});
    return Prepend{component.string("prepend")};
  }
  if (type == "Replace") {
    check_keys(component, {"type", "pattern", "content"});
    const PatternField pattern = read_pattern(component, "pattern");
    const std::string to = component.string("content");
    LG_CHECK(!pattern.text.empty(), pattern.where,
             ": expected something to look for, found nothing.");
    if (pattern.is_regex) return ReplaceRegex{pattern.compile(), to};
    return ReplaceText{pattern.text, to};
  }
  check_keys(component, {"type"});
  if (type == "NFC") return Nfc{};
  refuse_type(component, "normalizer", "Sequence, Prepend, Replace, NFC");
}

Normalizer Normalizer::from_json(const JsonObject& root) {
  Normalizer normalizer;
  for_each_component(root, "normalizer", "normalizers", [&](const JsonObject& component) {
    normalizer.steps_.push_back(read_step(component));
  });
  return normalizer;
}

bool Normalizer::run(const Step& step, std::string_view text, RegexScratch& scratch,
                     std::string& out, std::vector<TextEdit>* edits) {
  if (const auto* prepend = std::get_if<Prepend>(&step)) {
    if (text.empty()) return false;
    if (edits != nullptr) edits->push_back({0, 0, prepend->text.size()});
    out.append(prepend->text).append(text);
  } else if (const auto* replace = std::get_if<ReplaceText>(&step)) {
    if (text.find(replace->from) == std::string_view::npos) return false;
    append_replaced(text, replace->from, replace->to, out, edits);
  } else if (const auto* regex = std::get_if<ReplaceRegex>(&step)) {
    append_replaced(text, regex->from, regex->to, scratch, out, edits);
  } else {
    return normalize_nfc_if_needed(text, out, edits);
  }
  return true;
}

std::string_view Normalizer::apply(std::string_view text, RegexScratch& scratch,
                                   std::string& buffer,
                                   std::vector<std::vector<TextEdit>>* edits) const {
  for (const Step& step : steps_) {
    std::string next;
    std::vector<TextEdit> changes;
    if (!run(step, text, scratch, next, edits == nullptr ? nullptr : &changes)) continue;
    if (edits != nullptr) edits->push_back(std::move(changes));
    buffer = std::move(next);
    text = buffer;
  }
  return text;
}

}  // namespace longgen

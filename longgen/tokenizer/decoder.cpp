#include "longgen/tokenizer/decoder.h"

#include <algorithm>
#include <charconv>

#include "longgen/base/check.h"
#include "longgen/tokenizer/byte_alphabet.h"
#include "longgen/tokenizer/component.h"
#include "longgen/tokenizer/normalizer.h"

namespace longgen {
namespace {

constexpr int64_t kMaxStrip = 1 << 20;

/// Gives the byte of "<0x0A>" and the like; -1 for any other token.
int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return -1;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  return error == std::errc() && end == token.data() + 5 ? static_cast<int>(value) : -1;
}

void strip_token(std::string_view content, int64_t start, int64_t stop, std::string& text) {
  std::string_view rest = text;
  for (; start > 0 && rest.starts_with(content); --start) rest.remove_prefix(content.size());
  for (; stop > 0 && rest.ends_with(content); --stop) rest.remove_suffix(content.size());
  text = std::string(rest);
}

}  // namespace

Decoder Decoder::from_json(const JsonObject& root) {
  Decoder decoder;
  decoder.joins_with_spaces_ = !root.has("decoder");
  for_each_component(root, "decoder", "decoders",
                     [&](const JsonObject& component) { decoder.read_component(component); });
  return decoder;
}

void Decoder::read_component(const JsonObject& component) {
  const std::string type = component.string("type");
  if (type == "Fuse") {
    check_keys(component, {"type"});
    fused_ = true;
    return;
  }
  if (type == "Strip") return read_strip(component);
  LG_CHECK(!gives_bytes_ && !fused_, component.where("type"), ": ", type,
           " after ByteFallback, ByteLevel or Fuse is not supported: text could not be decoded "
           "token by token.");
  steps_.push_back(read_step(component, type));
  gives_bytes_ = type == "ByteFallback";
  fused_ = type == "ByteLevel";
}

Decoder::Step Decoder::read_step(const JsonObject& component, const std::string& type) {
  if (type == "ByteFallback") {
    check_keys(component, {"type"});
    return ByteFallback{};
  }
  if (type == "ByteLevel") {
    check_keys(component, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return ByteLevel{};
  }
  if (type == "Metaspace") {
    check_keys(component, {"type", "replacement", "prepend_scheme", "split", "add_prefix_space"});
    const bool adds = component.boolean("add_prefix_space", true);
    return Metaspace{read_char(component, "replacement"),
                     adds && component.string("prepend_scheme", "always") != "never"};
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
  refuse_type(component, "decoder",
              "Sequence, Replace, ByteFallback, ByteLevel, Metaspace, Fuse, Strip");
}

void Decoder::read_strip(const JsonObject& component) {
  check_keys(component, {"type", "content", "start", "stop"});
  const StripToken strip{read_char(component, "content"), component.integer("start", 0, kMaxStrip),
                         component.integer("stop", 0, kMaxStrip)};
  if (!fused_) {
    LG_CHECK(!gives_bytes_, component.where("type"),
             ": Strip between ByteFallback and Fuse is not supported.");
    steps_.push_back(strip);
    return;
  }
  LG_CHECK(strip.stop == 0 && strip_count_ == 0, component.where("stop"),
           ": after Fuse one Strip with stop 0 is supported; the end of a text that is still "
           "growing is unknown.");
  strip_char_ = strip.content;
  strip_count_ = strip.start;
}

void Decoder::run(const Step& step, bool first, RegexScratch& scratch, std::string& text) {
  if (std::holds_alternative<ByteLevel>(step)) {
    if (auto bytes = chars_to_bytes(text)) text = std::move(*bytes);
  } else if (std::holds_alternative<ByteFallback>(step)) {
    if (const int byte = fallback_byte(text); byte >= 0)
      text = std::string(1, static_cast<char>(byte));
  } else if (const auto* replace = std::get_if<ReplaceText>(&step)) {
    std::string out;
    append_replaced(text, replace->from, replace->to, out);
    text = std::move(out);
  } else if (const auto* regex = std::get_if<ReplaceRegex>(&step)) {
    std::string out;
    append_replaced(text, regex->from, regex->to, scratch, out);
    text = std::move(out);
  } else if (const auto* metaspace = std::get_if<Metaspace>(&step)) {
    std::string out;
    append_replaced(text, metaspace->replacement, first && metaspace->drops_first ? "" : " ", out);
    text = std::move(out);
  } else {
    const auto& strip = std::get<StripToken>(step);
    strip_token(strip.content, strip.start, strip.stop, text);
  }
}

void Decoder::append(std::string_view token, bool first, RegexScratch& scratch,
                     std::string& out) const {
  std::string text(token);
  for (const Step& step : steps_) run(step, first, scratch, text);
  if (joins_with_spaces_ && !first) out.push_back(' ');
  out.append(text);
}

void Decoder::strip_start(std::string& text, int64_t& left) const {
  size_t gone = 0;
  for (; left > 0 && gone < text.size(); --left) {
    if (text.compare(gone, strip_char_.size(), strip_char_) != 0) {
      left = 0;
      break;
    }
    gone += strip_char_.size();
  }
  text.erase(0, gone);
}

}  // namespace longgen

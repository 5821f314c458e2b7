#include "longgen/serve/openai/tool_calls.h"

#include <algorithm>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/serve/openai/bounded_json.h"

namespace longgen::openai {
namespace {

constexpr std::string_view kOpen = "<tool_call>", kClose = "</tool_call>";
/// White space that is held back before a call is at most this, so that each push costs the same.
constexpr size_t kMaxSpaces = 64;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// Counts the bytes at the end of the text that may become the tag.
size_t begun_tag(std::string_view text) {
  size_t length = std::min(text.size(), kOpen.size() - 1);
  while (length > 0 && !text.ends_with(kOpen.substr(0, length))) --length;
  return length;
}

/// Returns the object of arguments, which some models write as the text of one.
std::optional<OrderedJson> arguments_of(const OrderedJson& call) {
  auto found = call.find("arguments");
  if (found == call.end()) found = call.find("parameters");
  if (found == call.end()) return std::nullopt;
  const OrderedJson arguments =
      found->is_string()
          ? parse_bounded_json(found->get_ref<const std::string&>(), "arguments of a call")
          : *found;
  if (!arguments.is_object()) return std::nullopt;
  return arguments;
}

/// Whether the text has a call in Hermes's way, or tells the model how to write one.
bool shows_hermes(std::string_view text) {
  for (size_t tag = text.find(kOpen); tag != text.npos; tag = text.find(kOpen, tag + 1)) {
    const size_t after = text.find_first_not_of(" \n\r\t", tag + kOpen.size());
    if (after != text.npos && text[after] == '{') return true;
  }
  return false;
}

}  // namespace

ToolCallParser::ToolCallParser(ToolFormat format, std::vector<std::string> functions,
                               std::string id)
    : format_(format),
      functions_(std::move(functions)),
      id_(std::move(id)),
      state_(format == ToolFormat::hermes ? State::text : State::open) {}

std::vector<ReplyPart> ToolCallParser::push(std::string_view text) {
  held_ += text;
  std::vector<ReplyPart> parts;
  while (step(parts)) {
  }
  held_.erase(0, begin_);
  scanned_ -= std::min(scanned_, begin_);
  object_ -= std::min(object_, begin_);
  begin_ = 0;
  return parts;
}

std::vector<ReplyPart> ToolCallParser::finish() {
  std::vector<ReplyPart> parts;
  if (state_ == State::close) {  // a stop token may stand in for the closing tag
    scanned_ = held_.size();
    give_call(parts);
  }
  if (num_calls_ == 0 || !only_spaces_left()) give_text(held_.size() - begin_, parts);
  held_.clear();
  begin_ = 0;
  state_ = State::plain;
  return parts;
}

bool ToolCallParser::step(std::vector<ReplyPart>& parts) {
  switch (state_) {
    case State::text:
      return find_tag(parts);
    case State::open:
      return open_object(parts);
    case State::object:
      return read_object(parts);
    case State::close:
      return close_call(parts);
    case State::plain:
      break;
  }
  give_text(held_.size() - begin_, parts);
  return false;
}

bool ToolCallParser::find_tag(std::vector<ReplyPart>& parts) {
  const std::string_view rest = std::string_view(held_).substr(begin_);
  size_t tag = rest.find(kOpen);
  const bool found = tag != rest.npos;
  if (!found) tag = rest.size() - begun_tag(rest);
  size_t end = tag;
  while (end > 0 && tag - end < kMaxSpaces && is_space(rest[end - 1])) --end;
  give_text(end, parts);
  if (!found) return false;
  scanned_ = begin_ + (tag - end) + kOpen.size();
  state_ = State::open;
  return true;
}

bool ToolCallParser::open_object(std::vector<ReplyPart>& parts) {
  skip_spaces();
  if (scanned_ == held_.size()) return false;
  if (held_[scanned_] != '{') {
    not_a_call(parts);
    return true;
  }
  object_ = scanned_;
  depth_ = 0;
  in_string_ = escaped_ = false;
  state_ = State::object;
  return true;
}

bool ToolCallParser::read_object(std::vector<ReplyPart>& parts) {
  for (; scanned_ < held_.size(); ++scanned_) {
    const char c = held_[scanned_];
    if (std::exchange(escaped_, false)) continue;
    if (in_string_ && static_cast<unsigned char>(c) < 0x20) {  // JSON has no such strings
      not_a_call(parts);
      return true;
    }
    if (c == '"') in_string_ = !in_string_;
    escaped_ = in_string_ && c == '\\';
    if (in_string_) continue;
    depth_ += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (depth_ > 0) continue;
    ++scanned_;
    call_ = parse(std::string_view(held_).substr(object_, scanned_ - object_));
    if (!call_) {
      not_a_call(parts);
    } else if (format_ == ToolFormat::hermes) {
      state_ = State::close;
    } else {
      give_call(parts);
    }
    return true;
  }
  return false;
}

bool ToolCallParser::close_call(std::vector<ReplyPart>& parts) {
  skip_spaces();
  const std::string_view rest = std::string_view(held_).substr(scanned_);
  if (rest.starts_with(kClose)) {
    scanned_ += kClose.size();
    give_call(parts);
    return true;
  }
  if (kClose.starts_with(rest)) return false;
  not_a_call(parts);
  return true;
}

void ToolCallParser::skip_spaces() {
  const bool between = format_ == ToolFormat::llama3 && num_calls_ > 0;
  while (scanned_ < held_.size() &&
         (is_space(held_[scanned_]) || (between && held_[scanned_] == ';'))) {
    ++scanned_;
  }
}

bool ToolCallParser::only_spaces_left() const {
  return std::all_of(
      held_.begin() + static_cast<std::ptrdiff_t>(begin_), held_.end(),
      [this](char c) { return is_space(c) || (format_ == ToolFormat::llama3 && c == ';'); });
}

void ToolCallParser::give_text(size_t num_bytes, std::vector<ReplyPart>& parts) {
  if (num_bytes == 0) return;
  if (parts.empty() || parts.back().call) parts.emplace_back();
  parts.back().text.append(held_, begin_, num_bytes);
  begin_ += num_bytes;
}

void ToolCallParser::give_call(std::vector<ReplyPart>& parts) {
  call_->id = "call_" + id_ + "_" + std::to_string(num_calls_++);
  parts.push_back({"", std::exchange(call_, std::nullopt)});
  begin_ = scanned_;
  state_ = format_ == ToolFormat::hermes ? State::text : State::open;
}

void ToolCallParser::not_a_call(std::vector<ReplyPart>& parts) {
  give_text(scanned_ - begin_, parts);
  call_.reset();
  state_ = format_ == ToolFormat::hermes ? State::text : State::plain;
}

std::optional<ToolCall> ToolCallParser::parse(std::string_view json) const {
  try {
    const OrderedJson call = parse_bounded_json(json, "call");
    const auto name = call.find("name");
    if (name == call.end() || !name->is_string()) return std::nullopt;
    const bool offered = std::count(functions_.begin(), functions_.end(), *name) > 0;
    const std::optional<OrderedJson> arguments = arguments_of(call);
    if (!offered || !arguments) return std::nullopt;
    return ToolCall{"", name->get<std::string>(), dump_json(*arguments)};
  } catch (const Error&) {  // what is no JSON is text
    return std::nullopt;
  }
}

std::optional<ToolFormat> tool_format(const ChatTemplate& chat_template) {
  const std::string name = "longgen_probe";
  const OrderedJson function = {{"name", name}, {"arguments", {{"place", "here"}}}};
  ChatRequest request;
  request.messages = {chat_message("user", "a"), chat_message("assistant", "")};
  request.messages[1]["tool_calls"] = OrderedJson::array(
      {OrderedJson{{"id", "abcdefghi"}, {"type", "function"}, {"function", function}}});
  const OrderedJson parameters = {{"type", "object"}, {"properties", OrderedJson::object()}};
  const OrderedJson tool = {{"name", name}, {"description", "b"}, {"parameters", parameters}};
  request.tools = OrderedJson::array({OrderedJson{{"type", "function"}, {"function", tool}}});
  std::string text;
  try {
    text = chat_template.render(request).text;
  } catch (const Error&) {  // it takes no tools
    return std::nullopt;
  }
  if (shows_hermes(text)) return ToolFormat::hermes;
  const bool llama3 = text.find("{\"name\": \"" + name + "\", \"parameters\":") != text.npos;
  return llama3 ? std::optional(ToolFormat::llama3) : std::nullopt;
}

}  // namespace longgen::openai

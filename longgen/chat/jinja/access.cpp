// Attributes, items and slices of operators.h.
#include <algorithm>

#include "longgen/chat/jinja/loop_state.h"
#include "longgen/chat/jinja/macro.h"
#include "longgen/chat/jinja/operators.h"
#include "longgen/chat/jinja/python.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

constexpr int64_t kLargeStep = int64_t{1} << 40;

Value missing(const Value& object, const std::string& name) {
  return Value::undefined(
      detail::concat("'", type_name(object), " object' has no attribute '", name, "'"));
}

/// The item of a string or a list at an index that may count from the end.
std::optional<Value> at_index(Runtime& runtime, const Value& object, int64_t index) {
  if (object.is_text()) runtime.budget.step(object.text().size());
  const int64_t size = length(object);
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  if (object.is_sequence()) return object.sequence().items[static_cast<size_t>(index)];
  const Text& text = object.text();
  size_t at = 0;
  for (int64_t i = 0; i < index; ++i) at += decode_valid_utf8(text.bytes().data() + at).length;
  const size_t end = at + decode_valid_utf8(text.bytes().data() + at).length;
  return runtime.text_like(text, text.slice(at, end));
}

bool is_indexed(const Value& value) {
  if (value.is_text()) return true;
  return value.is_sequence() && value.sequence().kind <= SequenceKind::range;
}

std::optional<Value> find_item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_dict()) {
    try {
      const Value* const found = object.dict().find(runtime.budget, key);
      return found == nullptr ? std::nullopt : std::optional<Value>(*found);
    } catch (const Unhashable&) {
      return std::nullopt;  // Jinja takes it for a key that is not there
    }
  }
  if (is_indexed(object) && (key.is<int64_t>() || key.is<bool>())) {
    return at_index(runtime, object, to_int(key, "index"));
  }
  return std::nullopt;
}

/// A bound of a slice as Python clamps it.
int64_t bound(const Value& value, int64_t size, int64_t step, int64_t fallback) {
  if (value.is_none()) return fallback;
  int64_t at = to_int(value, "slice");
  if (at < 0) at += size;
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  return std::clamp(at, low, std::max(low, high));
}

int64_t slice_length(int64_t first, int64_t last, int64_t step) {
  const int64_t length = step > 0 ? last - first : first - last;
  const int64_t stride = step > 0 ? step : -step;
  return length <= 0 ? 0 : (length + stride - 1) / stride;
}

Value slice_text(Runtime& runtime, const Text& text, int64_t first, int64_t last, int64_t step) {
  runtime.budget.step(text.size());
  const int64_t count = slice_length(first, last, step);
  // The byte of each character from the first that is needed to the last.
  const int64_t low = step > 0 ? first : first + (count - 1) * step;
  const int64_t high = step > 0 ? first + (count - 1) * step : first;
  std::vector<size_t> starts;
  TextBuilder out(runtime.budget);
  if (count > 0 && step != 1) {
    runtime.budget.take(static_cast<size_t>(high - low + 2) * sizeof(size_t));
  }
  size_t begin = 0, end = 0;
  int64_t index = 0;
  for (size_t at = 0; count > 0 && index <= high + 1; ++index) {
    if (index == low) begin = at;
    end = at;
    if (step != 1 && index >= low) starts.push_back(at);
    if (at < text.size()) at += decode_valid_utf8(text.bytes().data() + at).length;
  }
  if (step == 1) return runtime.text_like(text, text.slice(begin, count > 0 ? end : begin));
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(first + i * step - low);
    out.append(text, starts[at], starts[at + 1]);
  }
  return runtime.text_like(text, out.take());
}

/// The attributes of what is neither a string nor a list nor a dict.
std::optional<Value> find_special(const Value& object, const std::string& name) {
  if (object.is<Namespace*>()) {
    const Namespace& space = *object.get<Namespace*>();
    const auto it = space.attributes.find(name);
    return it == space.attributes.end() ? missing(object, name) : it->second;
  }
  if (object.is<std::shared_ptr<LoopState>>()) {
    return object.get<std::shared_ptr<LoopState>>()->attribute(name, object);
  }
  if (object.is<const Macro*>()) {
    if (name == "name") {
      return Value(Value::Storage(
          std::make_shared<const Text>(object.get<const Macro*>()->name(), Origin::written)));
    }
    fail("attributes of macros are not supported: ", name);
  }
  if (object.is_sequence() && object.sequence().is_group) {
    if (name == "grouper") return object.sequence().items[0];
    if (name == "list") return object.sequence().items[1];
  }
  return std::nullopt;
}

std::optional<Value> find_attribute(Runtime& runtime, const Value& object,
                                    const std::string& name) {
  if (std::optional<Value> special = find_special(object, name)) return special;
  if (name.starts_with("__") && name.ends_with("__") && !object.is_dict()) {
    return Value::undefined(detail::concat("access to attribute '", name, "' of '",
                                           type_name(object), "' object is unsafe"));
  }
  return object.is_text() ? find_text_method(runtime, object, name)
                          : find_method(runtime, object, name);
}

}  // namespace

Value get_attribute(Runtime& runtime, const Value& object, const std::string& name) {
  if (object.is_undefined() && name != "__class__") fail(*object.get<Undefined>().message);
  if (std::optional<Value> attribute = find_attribute(runtime, object, name)) return *attribute;
  if (object.is_dict()) {
    if (const Value* const found = object.dict().find(std::string_view(name))) return *found;
  }
  return missing(object, name);
}

Value get_item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_undefined()) fail(*object.get<Undefined>().message);
  if (std::optional<Value> item = find_item(runtime, object, key)) return *item;
  if (key.is_text()) {
    if (std::optional<Value> attribute = find_attribute(runtime, object, key.bytes())) {
      return *attribute;
    }
    return missing(object, key.bytes());
  }
  return Value::undefined(
      detail::concat(type_name(object), " object has no element ", repr(runtime, key).bytes()));
}

Value get_slice(Runtime& runtime, const Value& object, const Value& begin, const Value& end,
                const Value& step_value) {
  if (object.is_undefined()) fail(*object.get<Undefined>().message);
  // Jinja gives undefined where it can work out the slice before it runs the template, or an error.
  if (!is_indexed(object)) fail("slices of '", type_name(object), "' objects are not supported");
  if (object.is_sequence() && object.sequence().kind == SequenceKind::range) {
    fail("slices of a range are not supported");
  }
  // No list is as long as the larger steps, which would overflow below.
  const int64_t step =
      step_value.is_none() ? 1 : std::clamp(to_int(step_value, "slice"), -kLargeStep, kLargeStep);
  if (step == 0) fail("slice step cannot be zero");
  const int64_t size = length(object);
  const int64_t first = bound(begin, size, step, step < 0 ? size - 1 : 0);
  const int64_t last = bound(end, size, step, step < 0 ? -1 : size);
  if (object.is_text()) return slice_text(runtime, object.text(), first, last, step);
  Values items;
  for (int64_t i = 0; i < slice_length(first, last, step); ++i) {
    items.push_back(object.sequence().items[static_cast<size_t>(first + i * step)]);
  }
  return runtime.sequence(std::move(items), object.sequence().kind);
}

}  // namespace longgen::jinja

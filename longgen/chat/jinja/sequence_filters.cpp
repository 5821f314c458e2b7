// Filters of lists and dicts.
#include <algorithm>

#include "longgen/chat/jinja/bound_arguments.h"
#include "longgen/chat/jinja/filters.h"
#include "longgen/chat/jinja/loop_state.h"
#include "longgen/chat/jinja/operators.h"
#include "longgen/chat/jinja/text_tools.h"

namespace longgen::jinja {
namespace {

Value fallback(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("default", std::move(arguments), {"default_value", "boolean"});
  const bool takes = input.is_undefined() || (bound.flag(1, false) && !truth(input));
  if (!takes) return input;
  return bound.has(0) ? bound[0] : runtime.text("", Origin::written);
}

Value list(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("list", std::move(arguments), {});
  return runtime.sequence(collect(runtime, input));
}

Value first(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("first", std::move(arguments), {});
  return iterate(runtime, input)().value_or(Value::undefined("No first item, sequence was empty."));
}

Value last(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("last", std::move(arguments), {});
  if (input.is<std::shared_ptr<Iterator>>()) fail("last: 'generator' object is not reversible");
  const ItemSource source = items_of(runtime, input);
  if (source.items->empty()) return Value::undefined("No last item, sequence was empty.");
  return source.items->back();
}

Value reverse(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("reverse", std::move(arguments), {});
  if (input.is_text()) return get_slice(runtime, input, Value(), Value(), Value(int64_t{-1}));
  auto items = std::make_shared<Values>(collect(runtime, input));
  const auto next = [items]() -> std::optional<Value> {
    if (items->empty()) return std::nullopt;
    Value item = std::move(items->back());
    items->pop_back();
    return item;
  };
  return runtime.iterator(next, input.depth());
}

Value join(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("join", std::move(arguments), {"d", "attribute"});
  const Text separator = bound.has(0) ? to_text(runtime, bound[0]) : Text();
  TextBuilder out(runtime.budget);
  const Iterator::Next next = iterate(runtime, input);
  bool begins = true;
  while (const std::optional<Value> item = next()) {
    if (!begins) out.append(separator);
    begins = false;
    const bool path = bound.has_value(1);
    out.append(to_text(runtime, path ? get_path(runtime, *item, bound[1]) : *item));
  }
  return runtime.text(out.take());
}

Value items(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("items", std::move(arguments), {});
  if (!input.is_dict() && !input.is_undefined()) {
    // Like any generator, it fails when it is asked for the first item.
    return runtime.iterator(
        []() -> std::optional<Value> { fail("Can only get item pairs from a mapping."); }, 0);
  }
  const auto next = [&runtime, input, at = size_t{0}]() mutable -> std::optional<Value> {
    if (input.is_undefined() || at == input.dict().items().size()) return std::nullopt;
    const Dict::Item& item = input.dict().items()[at++];
    return runtime.sequence({item.key, item.value}, SequenceKind::tuple);
  };
  return runtime.iterator(next, input.depth());
}

struct Keyed {
  Value key, item;
};

/// Sorts by the key, stably; equal items keep their order when reversed too, as in Python.
void sort_keyed(Runtime& runtime, std::vector<Keyed>& keyed, bool reversed) {
  runtime.budget.take(keyed.size() * sizeof(Keyed));
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& x, const Keyed& y) {
    const Keyed &a = reversed ? y : x, &b = reversed ? x : y;
    return sorts_before(runtime.budget, a.key, b.key);
  });
}

Value plain_items(Runtime& runtime, std::vector<Keyed>& keyed) {
  Values sorted;
  for (Keyed& entry : keyed) sorted.push_back(std::move(entry.item));
  return runtime.sequence(std::move(sorted));
}

/// The attributes that sort() names, one or several with commas between them.
std::vector<Value> paths_of(Runtime& runtime, const Value& attribute) {
  if (!attribute.is_text()) return {attribute};
  std::vector<Value> paths;
  const std::string& names = attribute.bytes();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    paths.push_back(runtime.text(names.substr(begin, end - begin), Origin::written));
    begin = end + 1;
  }
  return paths;
}

Value key_of(Runtime& runtime, const Value& item, const Value& path, bool case_sensitive) {
  const Value key = get_path(runtime, item, path);
  return case_sensitive ? key : without_case(runtime, key);
}

Value sort(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("sort", std::move(arguments),
                             {"reverse", "case_sensitive", "attribute"});
  const std::vector<Value> paths = paths_of(runtime, bound.has(2) ? bound[2] : Value());
  std::vector<Keyed> keyed;
  for (Value& item : collect(runtime, input)) {
    // One list, whose order asks for that of two parts only where they differ.
    Values key;
    for (const Value& path : paths) {
      key.push_back(key_of(runtime, item, path, bound.flag(1, false)));
    }
    keyed.push_back({runtime.sequence(std::move(key)), std::move(item)});
  }
  sort_keyed(runtime, keyed, bound.flag(0, false));
  return plain_items(runtime, keyed);
}

Value dict_sort(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("dictsort", std::move(arguments), {"case_sensitive", "by", "reverse"});
  const std::string by = bound.has(1) ? bound.text(1).bytes() : "key";
  if (by != "key" && by != "value") fail("dictsort: expected by to be \"key\" or \"value\"");
  if (input.is_undefined()) fail(*input.get<Undefined>().message);
  if (!input.is_dict()) fail("dictsort: expected a dict, found '", type_name(input), "'");
  std::vector<Keyed> keyed;
  for (const Dict::Item& item : input.dict().items()) {
    const Value key = by == "key" ? item.key : item.value;
    keyed.push_back({bound.flag(0, false) ? key : without_case(runtime, key),
                     runtime.sequence({item.key, item.value}, SequenceKind::tuple)});
  }
  sort_keyed(runtime, keyed, bound.flag(2, false));
  return plain_items(runtime, keyed);
}

Value group_by(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("groupby", std::move(arguments),
                             {"attribute", "default", "case_sensitive"}, 1);
  const auto value_of = [&](const Value& item) {
    const Value value = get_path(runtime, item, bound[0]);
    return value.is_undefined() && bound.has_value(1) ? bound[1] : value;
  };
  std::vector<Keyed> keyed;
  for (Value& item : collect(runtime, input)) {
    const Value value = value_of(item);
    keyed.push_back({bound.flag(2, false) ? value : without_case(runtime, value), item});
  }
  sort_keyed(runtime, keyed, false);
  Values groups;
  for (size_t begin = 0; begin < keyed.size();) {
    Values members;
    size_t end = begin;
    while (end < keyed.size() && equal(runtime.budget, keyed[end].key, keyed[begin].key)) {
      members.push_back(keyed[end++].item);
    }
    if (end == begin) fail("groupby: a value that is not equal to itself");
    const Value name = value_of(keyed[begin].item);
    Sequence group{SequenceKind::tuple, {name, runtime.sequence(std::move(members))}};
    group.depth = std::max(name.depth(), group.items[1].depth()) + 1;
    group.is_group = true;
    runtime.budget.take(sizeof(Sequence));
    runtime.budget.check_value_depth(group.depth);
    groups.push_back(Value(Value::Storage(std::make_shared<const Sequence>(std::move(group)))));
    begin = end;
  }
  return runtime.sequence(std::move(groups));
}

Value unique(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("unique", std::move(arguments), {"case_sensitive", "attribute"});
  const Value path = bound.has(1) ? bound[1] : Value();
  const bool case_sensitive = bound.flag(0, false);
  auto seen = std::make_shared<Dict>();
  const auto next = [&runtime, source = iterate(runtime, input), path, case_sensitive,
                     seen]() -> std::optional<Value> {
    while (std::optional<Value> item = source()) {
      const Value key = key_of(runtime, *item, path, case_sensitive);
      if (seen->find(runtime.budget, key) != nullptr) continue;
      runtime.budget.take(sizeof(Dict::Item) + 64);
      seen->set(runtime.budget, key, Value());
      return item;
    }
    return std::nullopt;
  };
  return runtime.iterator(next, std::max(input.depth(), path.depth()));
}

/// The smallest item (sign -1) or the largest (sign 1).
template <int sign>
Value extreme(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound(sign < 0 ? "min" : "max", std::move(arguments),
                             {"case_sensitive", "attribute"});
  const Value path = bound.has(1) ? bound[1] : Value();
  std::optional<Value> best, best_key;
  const Iterator::Next next = iterate(runtime, input);
  while (std::optional<Value> item = next()) {
    const Value key = key_of(runtime, *item, path, bound.flag(0, false));
    const bool better = !best || ordered(runtime.budget, key, sign < 0 ? "<" : ">", *best_key);
    if (!better) continue;
    best = std::move(item);
    best_key = key;
  }
  return best.value_or(Value::undefined("No aggregated item, sequence was empty."));
}

Value sum(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("sum", std::move(arguments), {"attribute", "start"});
  Value total = bound.has(1) ? bound[1] : Value(int64_t{0});
  if (total.is_text()) fail("sum: strings cannot be summed, use join");
  const Iterator::Next next = iterate(runtime, input);
  while (const std::optional<Value> item = next()) {
    const Value value = bound.has_value(0) ? get_path(runtime, *item, bound[0]) : *item;
    total = binary(runtime, "+", total, value);
  }
  return total;
}

Value batch(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("batch", std::move(arguments), {"linecount", "fill_with"}, 1);
  const int64_t size = bound.integer(0, 1);
  if (size < 1) fail("batch: expected a count of at least 1, found ", size);
  const Value fill = bound.has(1) ? bound[1] : Value();
  const auto next = [&runtime, source = iterate(runtime, input), size,
                     fill]() -> std::optional<Value> {
    Values row;
    while (static_cast<int64_t>(row.size()) < size) {
      std::optional<Value> item = source();
      if (!item) break;
      runtime.budget.check_items(row.size() + 1);
      row.push_back(std::move(*item));
    }
    if (row.empty()) return std::nullopt;
    while (!fill.is_none() && static_cast<int64_t>(row.size()) < size) {
      runtime.budget.check_items(row.size() + 1);
      row.push_back(fill);
    }
    return runtime.sequence(std::move(row));
  };
  return runtime.iterator(next, std::max(input.depth(), fill.depth()));
}

Value slice(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("slice", std::move(arguments), {"slices", "fill_with"}, 1);
  const int64_t count = bound.integer(0, 1);
  if (count < 1) fail("slice: expected a count of at least 1, found ", count);
  runtime.budget.check_items(static_cast<size_t>(count));
  const Values all = collect(runtime, input);
  const auto size = static_cast<int64_t>(all.size());
  const int64_t each = size / count, extra = size % count;
  Values columns;
  auto at = all.begin();
  for (int64_t i = 0; i < count; ++i) {
    const auto end = at + (each + (i < extra ? 1 : 0));
    Values column(at, end);
    if (bound.has_value(1) && i >= extra) column.push_back(bound[1]);
    columns.push_back(runtime.sequence(std::move(column)));
    at = end;
  }
  auto remaining = std::make_shared<Values>(std::move(columns));
  const auto next = [remaining, index = size_t{0}]() mutable -> std::optional<Value> {
    if (index == remaining->size()) return std::nullopt;
    return (*remaining)[index++];
  };
  return runtime.iterator(next, input.depth() + 1);
}

Value attribute(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("attr", std::move(arguments), {"name"}, 1);
  const std::string& name = bound.text(0).bytes();
  // Only an attribute, never an item: a dict has none but its methods.
  if (input.is_undefined()) fail(*input.get<Undefined>().message);
  const Value found = get_attribute(runtime, input, name);
  const bool item = input.is_dict() && !found.is<std::shared_ptr<const Callable>>();
  return item ? Value::undefined(detail::concat("'dict object' has no attribute '", name, "'"))
              : found;
}

}  // namespace

const FilterTable& sequence_filters() {
  static const FilterTable table = {
      {"default", fallback}, {"d", fallback},         {"list", list},        {"first", first},
      {"last", last},        {"reverse", reverse},    {"join", join},        {"items", items},
      {"sort", sort},        {"dictsort", dict_sort}, {"groupby", group_by}, {"unique", unique},
      {"min", extreme<-1>},  {"max", extreme<1>},     {"sum", sum},          {"batch", batch},
      {"slice", slice},      {"attr", attribute},
  };
  return table;
}

}  // namespace longgen::jinja

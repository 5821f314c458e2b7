#include "longgen/eval/perplexity_text.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

using Rows = std::vector<std::vector<std::string>>;

/// Makes a table: a row for each place and, below `corner`, a column for each model from
/// `first_model` on.
template <typename Value>
std::string table_of(const std::string& corner, const std::vector<std::string>& places,
                     const std::vector<ModelPerplexity>& models, size_t first_model,
                     const Value& value) {
  Rows rows = {{corner}};
  for (size_t m = first_model; m < models.size(); ++m) rows[0].push_back(models[m].name);
  for (size_t place = 0; place < places.size(); ++place) {
    rows.push_back({places[place]});
    for (size_t m = first_model; m < models.size(); ++m) {
      rows.back().push_back(value(models[m], place));
    }
  }
  return format_table(rows);
}

std::string perplexity_of(const NllSummary& summary) {
  return summary.num_tokens > 0 ? format_number(summary.perplexity, "%.3f") : "-";
}

std::string difference_of(const PairedDifference& difference) {
  return difference_text(difference, 2, "%");
}

/// Heads a table of differences. One document has no interval.
std::string difference_heading(const std::string& what, const NllSummary& summary) {
  return what + (summary.num_documents < 2 ? " (no interval: one document)\n"
                                           : ", with its 95% interval over documents\n");
}

std::string by_position(const std::vector<ModelPerplexity>& models) {
  const ModelPerplexity& first = models.front();
  std::vector<std::string> places;
  for (int64_t i = 0; i < first.buckets.num_buckets(); ++i) {
    const auto edge = static_cast<size_t>(i);
    places.push_back(range_name(first.buckets.edges()[edge], first.buckets.edges()[edge + 1]));
  }
  places.emplace_back("all");
  const auto is_overall = [&](size_t place) { return place + 1 == places.size(); };
  const NllSummary overall = first.buckets.overall();
  std::string text = detail::concat(
      "perplexity of ", format_count(first.buckets.num_documents(), "document"), ", ",
      format_count(overall.num_tokens, "token"), "\n",
      table_of("position", places, models, 0, [&](const ModelPerplexity& model, size_t place) {
        return perplexity_of(is_overall(place) ? model.buckets.overall()
                                               : model.buckets.bucket(static_cast<int64_t>(place)));
      }));
  if (models.size() == 1) return text;
  text += difference_heading("difference to " + first.name, overall);
  return text +
         table_of("position", places, models, 1, [&](const ModelPerplexity& model, size_t place) {
           return difference_of(is_overall(place)
                                    ? overall_difference(first, model)
                                    : bucket_difference(first, model, static_cast<int64_t>(place)));
         });
}

std::string by_context(const std::vector<ModelPerplexity>& models) {
  const ModelPerplexity& first = models.front();
  std::vector<std::string> places;
  for (const ContextNll& context : first.contexts) {
    places.push_back(format_count(context.context_tokens));
  }
  const auto at = [](const ModelPerplexity& model, size_t place, const auto& value) {
    return place < model.contexts.size() ? value() : std::string("-");
  };
  const NllSummary summary = summarize(first.contexts.front().documents);
  std::string text = detail::concat(
      "perplexity of the last ", format_count(summary.num_tokens / summary.num_documents, "token"),
      " of each document, by context\n",
      table_of("context", places, models, 0, [&](const ModelPerplexity& model, size_t place) {
        return at(model, place,
                  [&] { return perplexity_of(summarize(model.contexts[place].documents)); });
      }));
  if (places.size() > 1) {
    text += difference_heading("change from a context of " + places.front(), summary);
    const std::vector<std::string> longer(places.begin() + 1, places.end());
    text += table_of("context", longer, models, 0, [&](const ModelPerplexity& model, size_t place) {
      return at(model, place + 1, [&] { return difference_of(context_change(model, place + 1)); });
    });
  }
  if (models.size() == 1) return text;
  text += difference_heading("difference to " + first.name, summary);
  return text +
         table_of("context", places, models, 1, [&](const ModelPerplexity& model, size_t place) {
           return difference_of(context_difference(first, model, place));
         });
}

}  // namespace

std::string range_name(int64_t begin, int64_t end) {
  return format_count(begin) + "-" + format_count(end);
}

std::string stopped_text(const std::vector<ModelPerplexity>& models) {
  const auto num_contexts = [](const ModelPerplexity& model) {
    return model.contexts.empty() ? 0 : std::ssize(model.contexts.front().documents);
  };
  const ModelPerplexity& first = models.front();
  std::string text;
  const auto add = [&](const std::string& name, const char* what, int64_t found, int64_t all) {
    if (found >= all) return;
    text += detail::concat(name, " was stopped after ", format_count(found), " of ",
                           format_count(all, "document"), what,
                           ": its perplexities are of fewer texts; differences are of the same.\n");
  };
  for (const ModelPerplexity& model : models) {
    if (!model.reads_same_tokens) continue;  // its documents are others
    add(model.name, "", model.buckets.num_documents(), first.buckets.num_documents());
    add(model.name, " with their contexts", num_contexts(model), num_contexts(first));
  }
  return text;
}

std::string perplexity_text(const std::vector<ModelPerplexity>& models) {
  std::string text = by_position(models);
  if (!models.front().contexts.empty()) text += by_context(models);
  return text + stopped_text(models);
}

}  // namespace longgen

#include "longgen/eval/perplexity_report.h"

#include <array>
#include <cmath>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/eval/perplexity_picture.h"

namespace longgen {
namespace {

constexpr const char* kIntervalNote =
    "95% interval of the mean over documents: normal approximation, 1.96 standard errors, each "
    "document one draw; null for fewer than two documents";
constexpr const char* kDifferenceNote =
    "difference: perplexity less that of the first model on the same documents, in percent of the "
    "first's; 95% interval: Student's t of paired differences of log-likelihoods, each document "
    "one draw; null where the models read other tokens";

OrderedJson json_interval(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return OrderedJson::array({json_number(interval->low), json_number(interval->high)});
}

void add_summary(const NllSummary& summary, OrderedJson& json) {
  const bool measured = summary.num_tokens > 0;
  json["tokens"] = summary.num_tokens;
  json["documents"] = summary.num_documents;
  json["mean_nll"] = measured ? json_number(summary.mean_nll) : nullptr;
  json["mean_nll_interval"] = json_interval(summary.mean_nll_interval);
  json["perplexity"] = measured ? json_number(summary.perplexity) : nullptr;
  json["perplexity_interval"] = json_interval(summary.perplexity_interval);
}

OrderedJson json_difference(const PairedDifference& difference) {
  if (difference.num_items == 0) return nullptr;
  return {{"documents", difference.num_items},
          {"percent", json_number(difference.mean)},
          {"interval", json_interval(difference.interval)}};
}

OrderedJson json_bucket(const BucketSummary& summary) {
  OrderedJson json = {{"begin", summary.begin}, {"end", summary.end}};
  add_summary(summary, json);
  return json;
}

OrderedJson json_model(const ModelPerplexity& model, const ModelPerplexity& first) {
  OrderedJson json;
  json["model"] = model.name;
  json["overall"] = json_bucket(model.buckets.overall());
  json["buckets"] = OrderedJson::array();
  for (int64_t i = 0; i < model.buckets.num_buckets(); ++i) {
    json["buckets"].push_back(json_bucket(model.buckets.bucket(i)));
  }
  if (&model == &first) return json;
  json["overall"]["difference"] = json_difference(overall_difference(first, model));
  for (int64_t i = 0; i < model.buckets.num_buckets(); ++i) {
    json["buckets"][static_cast<size_t>(i)]["difference"] =
        json_difference(bucket_difference(first, model, i));
  }
  return json;
}

OrderedJson json_contexts(const ModelPerplexity& model, const ModelPerplexity& first) {
  OrderedJson json = {{"model", model.name}, {"contexts", OrderedJson::array()}};
  for (size_t i = 0; i < model.contexts.size(); ++i) {
    OrderedJson entry = {{"context", model.contexts[i].context_tokens}};
    add_summary(summarize(model.contexts[i].documents), entry);
    if (i > 0) entry["change"] = json_difference(context_change(model, i));
    if (&model != &first) {
      entry["difference"] = json_difference(context_difference(first, model, i));
    }
    json["contexts"].push_back(std::move(entry));
  }
  return json;
}

OrderedJson context_json(const std::vector<ModelPerplexity>& models, const OrderedJson& settings) {
  OrderedJson json;
  json["report"] = "perplexity by context";
  json["settings"] = settings;
  json["unit"] =
      "mean_nll in nats a token, over the same tokens at each context; context in tokens, those "
      "among them";
  json["interval"] = kIntervalNote;
  json["difference"] = kDifferenceNote;
  json["change"] = "perplexity less that with the model's shortest context, as difference is made";
  json["models"] = OrderedJson::array();
  for (const ModelPerplexity& model : models) {
    json["models"].push_back(json_contexts(model, models.front()));
  }
  return json;
}

/// The fields of a CSV line from the number of tokens on, difference included.
std::vector<std::string> fields_of(const NllSummary& summary, const PairedDifference& difference) {
  const auto ends = [](const std::optional<Interval>& interval) {
    return interval ? std::array{format_number(interval->low), format_number(interval->high)}
                    : std::array<std::string, 2>{};
  };
  const auto nll = ends(summary.mean_nll_interval), ppl = ends(summary.perplexity_interval),
             compared = ends(difference.interval);
  const bool measured = summary.num_tokens > 0;
  return {std::to_string(summary.num_tokens),
          std::to_string(summary.num_documents),
          measured ? format_number(summary.mean_nll) : "",
          nll[0],
          nll[1],
          measured ? format_number(summary.perplexity) : "",
          ppl[0],
          ppl[1],
          difference.num_items > 0 ? format_number(difference.mean) : "",
          compared[0],
          compared[1]};
}

/// Makes the header of a table whose lines begin with `first`.
std::vector<std::string> columns_after(std::vector<std::string> first) {
  for (const char* column : {"tokens", "documents", "mean_nll", "mean_nll_low", "mean_nll_high",
                             "perplexity", "perplexity_low", "perplexity_high",
                             "difference_percent", "difference_low", "difference_high"}) {
    first.emplace_back(column);
  }
  return first;
}

void add_row(std::vector<std::string> first, const NllSummary& summary,
             const PairedDifference& difference, Table& table) {
  for (std::string& field : fields_of(summary, difference)) first.push_back(std::move(field));
  table.rows.push_back(std::move(first));
}

Table perplexity_table(const std::vector<ModelPerplexity>& models) {
  Table table{columns_after({"model", "begin", "end"}), {}};
  const ModelPerplexity& first = models.front();
  for (const ModelPerplexity& model : models) {
    const bool is_first = &model == &first;
    const auto add = [&](const BucketSummary& bucket, const PairedDifference& difference) {
      add_row({model.name, std::to_string(bucket.begin), std::to_string(bucket.end)}, bucket,
              difference, table);
    };
    for (int64_t i = 0; i < model.buckets.num_buckets(); ++i) {
      add(model.buckets.bucket(i),
          is_first ? PairedDifference() : bucket_difference(first, model, i));
    }
    if (model.buckets.num_buckets() == 1) continue;  // it would stand there twice
    add(model.buckets.overall(), is_first ? PairedDifference() : overall_difference(first, model));
  }
  return table;
}

Table context_table(const std::vector<ModelPerplexity>& models) {
  Table table{columns_after({"model", "context"}), {}};
  for (const ModelPerplexity& model : models) {
    for (size_t i = 0; i < model.contexts.size(); ++i) {
      const ContextNll& context = model.contexts[i];
      add_row({model.name, std::to_string(context.context_tokens)}, summarize(context.documents),
              &model == &models.front() ? PairedDifference()
                                        : context_difference(models.front(), model, i),
              table);
    }
  }
  return table;
}

/// Keeps the points that a picture can show.
PerplexityLine line_of(const std::string& name, const std::vector<BucketSummary>& points) {
  PerplexityLine line{name, {}};
  for (const BucketSummary& point : points) {
    if (point.num_tokens > 0 && std::isfinite(point.perplexity)) line.points.push_back(point);
  }
  return line;
}

std::vector<BucketSummary> bucket_points(const ModelPerplexity& model) {
  std::vector<BucketSummary> points;
  for (int64_t i = 0; i < model.buckets.num_buckets(); ++i) {
    points.push_back(model.buckets.bucket(i));
  }
  return points;
}

std::vector<BucketSummary> context_points(const ModelPerplexity& model) {
  std::vector<BucketSummary> points;
  for (const ContextNll& context : model.contexts) {
    points.push_back({summarize(context.documents), 0, context.context_tokens});
  }
  return points;
}

ReportFiles write_curves(const OrderedJson& json, const Table& table,
                         const PerplexityPicture& picture, const ReportOptions& options) {
  LG_CHECK(!picture.lines.empty(),
           "[report] expected a token in at least one bucket of one model, found none. Call "
           "end_document() after each document.");
  return write_report(
      {json, table, perplexity_data(picture.lines), perplexity_script(options.name, picture)},
      options);
}

template <typename PointsOf>
std::vector<PerplexityLine> lines_of(const std::vector<ModelPerplexity>& models,
                                     const PointsOf& points_of) {
  std::vector<PerplexityLine> lines;
  for (const ModelPerplexity& model : models) {
    PerplexityLine line = line_of(model.name, points_of(model));
    if (!line.points.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

PairedDifference bucket_difference(const ModelPerplexity& first, const ModelPerplexity& model,
                                   int64_t bucket) {
  if (!model.reads_same_tokens || first.buckets.edges() != model.buckets.edges()) return {};
  return perplexity_difference(first.buckets.documents(bucket), model.buckets.documents(bucket));
}

PairedDifference overall_difference(const ModelPerplexity& first, const ModelPerplexity& model) {
  if (!model.reads_same_tokens || first.buckets.edges() != model.buckets.edges()) return {};
  return perplexity_difference(first.buckets.documents(), model.buckets.documents());
}

PairedDifference context_difference(const ModelPerplexity& first, const ModelPerplexity& model,
                                    size_t context) {
  const bool both = context < first.contexts.size() && context < model.contexts.size();
  if (!both || !model.reads_same_tokens ||
      first.contexts[context].context_tokens != model.contexts[context].context_tokens) {
    return {};
  }
  return perplexity_difference(first.contexts[context].documents,
                               model.contexts[context].documents);
}

PairedDifference context_change(const ModelPerplexity& model, size_t context) {
  return perplexity_difference(model.contexts.at(0).documents,
                               model.contexts.at(context).documents);
}

OrderedJson perplexity_json(const std::vector<ModelPerplexity>& models,
                            const OrderedJson& settings) {
  OrderedJson json;
  json["report"] = "perplexity by position";
  json["settings"] = settings;
  json["unit"] = "mean_nll in nats a token; positions in tokens from the document's start";
  json["interval"] = kIntervalNote;
  json["difference"] = kDifferenceNote;
  json["models"] = OrderedJson::array();
  for (const ModelPerplexity& model : models) {
    json["models"].push_back(json_model(model, models.front()));
  }
  if (!models.front().contexts.empty()) json["contexts"] = context_json(models, settings);
  return json;
}

ReportFiles write_perplexity_report(const std::vector<ModelPerplexity>& models,
                                    const ReportOptions& options) {
  check_report_name(options.name);
  LG_CHECK(!models.empty(), "[report] expected at least one model, found none.");
  return write_curves(perplexity_json(models, options.settings), perplexity_table(models),
                      {.title = "Perplexity against position",
                       .x_label = "position in the document (tokens, end of the bucket)",
                       .lines = lines_of(models, bucket_points)},
                      options);
}

ReportFiles write_context_report(const std::vector<ModelPerplexity>& models,
                                 const ReportOptions& options) {
  check_report_name(options.name);
  LG_CHECK(!models.empty(), "[report] expected at least one model, found none.");
  return write_curves(context_json(models, options.settings), context_table(models),
                      {.title = "Perplexity of the same tokens against context",
                       .x_label = "context (tokens, those that count among them)",
                       .lines = lines_of(models, context_points)},
                      options);
}

}  // namespace longgen

#include "longgen/bench/load/load_report.h"

#include <fmt/format.h>

#include "longgen/base/units.h"

namespace longgen {
namespace {

// Above it the thread may be late in looking at what came.
constexpr double kBusyLimit = 0.5;

struct NamedTimes {
  const char* name;
  const char* key;
  Distribution LoadSummary::*times;
};
constexpr NamedTimes kTimes[] = {
    {"first token", "first_token_s", &LoadSummary::first_token},
    {"gap between texts", "gap_s", &LoadSummary::gap},
    {"time per output token", "time_per_output_token_s", &LoadSummary::token},
    {"whole answer", "answer_s", &LoadSummary::answer},
    {"sent too late by", "late_s", &LoadSummary::late}};

std::string times_text(const LoadSummary& summary) {
  std::string text = fmt::format("{:<22}{:>11}{:>11}{:>11}{:>11}{:>11}\n", "", "p50", "p90", "p99",
                                 "worst", "mean");
  for (const NamedTimes& each : kTimes) {
    const Distribution& times = summary.*each.times;
    if (times.count == 0) continue;
    text +=
        fmt::format("{:<22}{:>11}{:>11}{:>11}{:>11}{:>11}\n", each.name, format_seconds(times.p50),
                    format_seconds(times.p90), format_seconds(times.p99),
                    format_seconds(times.worst), format_seconds(times.mean));
  }
  return text;
}

std::string percent(double share) { return fmt::format("{:.1f}%", 100 * share); }

std::string rates_text(const LoadSummary& summary) {
  std::string text = fmt::format(
      "{} of {} whole in {}: {:.3g} requests/s, {:.0f} tokens/s in, {:.1f} tokens/s out\n",
      format_count(summary.num_whole), format_count(summary.num_sent, "request"),
      format_seconds(summary.seconds), summary.per_second(summary.num_whole),
      summary.per_second(summary.prompt_tokens), summary.per_second(summary.reply_tokens));
  if (summary.num_unsent > 0) {
    text += fmt::format("stopped: {} not sent\n", format_count(summary.num_unsent, "request"));
  }
  for (const auto& [kind, error] : summary.errors) {
    text += fmt::format("{}: {}{}{}\n", kind, format_count(error.count, "request"),
                        error.message.empty() ? "" : ", the first: ", error.message);
  }
  return text;
}

/// What stands beside times and rates, a line each.
std::vector<std::string> lines_of(const LoadReport& report) {
  const LoadSummary& summary = report.summary;
  const ServerCounters& counters = report.counters;
  std::vector<std::string> lines;
  if (summary.num_within_goal) {
    lines.push_back(fmt::format("within {}: {} of {}, {:.3g} a second", *report.goal,
                                format_count(*summary.num_within_goal),
                                format_count(summary.num_sent, "request"),
                                summary.per_second(*summary.num_within_goal)));
  }
  if (summary.cached_tokens && summary.prompt_tokens > 0) {
    lines.push_back(fmt::format("prompts found in the cache: {} (usage)",
                                percent(static_cast<double>(*summary.cached_tokens) /
                                        static_cast<double>(summary.prompt_tokens))));
  }
  if (counters.hit_rate) {
    lines.push_back(
        fmt::format("hit rate of the prefix cache: {} (/metrics)", percent(*counters.hit_rate)));
  }
  if (counters.predicted_over_measured) {
    std::string line = fmt::format("predicted over measured time of steps: {:.3f}",
                                   *counters.predicted_over_measured);
    if (counters.share_predicted_well) {
      line +=
          fmt::format("; {} of them within 0.8 to 1.25", percent(*counters.share_predicted_well));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

/// What the figures are to be read with.
std::vector<std::string> notes_of(const LoadReport& report) {
  const LoadSummary& summary = report.summary;
  std::vector<std::string> notes;
  for (const std::string& field : report.refused) {
    notes.push_back("the server does not know " + field + ": it was left out");
  }
  if (summary.num_wide_events > 0 || summary.reply_tokens > summary.num_events) {
    notes.push_back(fmt::format(
        "texts carried more than one token: {} for {} (gaps are of texts, {})",
        format_count(summary.num_events, "text"), format_count(summary.reply_tokens, "token"),
        report.form.usage ? "tokens are the server's count" : "tokens are not known"));
  }
  if (!report.form.usage) notes.push_back("a token is a text of the stream: there is no usage");
  if (summary.num_short_replies > 0) {
    notes.push_back(format_count(summary.num_short_replies) + " replies ended before their length");
  }
  if (summary.num_other_prompts > 0) {
    notes.push_back(format_count(summary.num_other_prompts) +
                    " prompts have other lengths than planned, by the server's count");
  }
  if (summary.busy > kBusyLimit) {
    notes.push_back("this program was busy " + percent(summary.busy) +
                    " of the time: its own work may be in the times");
  }
  return notes;
}

std::string heading(const LoadReport& report) {
  return fmt::format("{}: model {} of {}\n{}\n", report.url, report.server.model,
                     report.server.name(), report.load);
}

OrderedJson errors_json(const LoadSummary& summary) {
  OrderedJson json = OrderedJson::object();
  for (const auto& [kind, error] : summary.errors) {
    json[kind] = {{"count", error.count}, {"first", error.message}};
  }
  return json;
}

std::string seconds_field(std::optional<double> seconds) {
  return seconds ? format_number(*seconds) : "";
}
std::string count_field(std::optional<int64_t> count) {
  return count ? std::to_string(*count) : "";
}

}  // namespace

OrderedJson to_json(const Distribution& distribution) {
  return {{"count", distribution.count}, {"mean", distribution.mean},
          {"p50", distribution.p50},     {"p90", distribution.p90},
          {"p99", distribution.p99},     {"worst", distribution.worst}};
}

std::string gaps_text(const Distribution& gaps) {
  return fmt::format("p50 {}, p99 {}, worst {}", format_seconds(gaps.p50), format_seconds(gaps.p99),
                     format_seconds(gaps.worst));
}

std::string to_text(const LoadReport& report) {
  const LoadSummary& summary = report.summary;
  std::string text = heading(report) + times_text(summary) + rates_text(summary);
  for (const std::string& line : lines_of(report)) text += line + "\n";
  for (const std::string& note : notes_of(report)) text += "note: " + note + "\n";
  return text + fmt::format("this program: busy {} of one core's time\n", percent(summary.busy));
}

OrderedJson to_json(const LoadReport& report) {
  const LoadSummary& summary = report.summary;
  OrderedJson json = {{"report", "load"},
                      {"url", report.url},
                      {"server", report.server.name()},
                      {"model", report.server.model},
                      {"endpoint", kEndpoints.name(report.form.endpoint)},
                      {"load", report.load},
                      {"refused_fields", report.refused},
                      {"seconds", summary.seconds},
                      {"requests", summary.num_sent},
                      {"whole", summary.num_whole},
                      {"not_sent", summary.num_unsent},
                      {"errors", errors_json(summary)},
                      {"requests_per_s", summary.per_second(summary.num_whole)},
                      {"prompt_tokens", summary.prompt_tokens},
                      {"prompt_tokens_per_s", summary.per_second(summary.prompt_tokens)},
                      {"reply_tokens", summary.reply_tokens},
                      {"reply_tokens_per_s", summary.per_second(summary.reply_tokens)},
                      {"cached_tokens", optional_json(summary.cached_tokens)},
                      {"texts", summary.num_events}};
  for (const NamedTimes& each : kTimes) json[each.key] = to_json(summary.*each.times);
  json["goal"] = optional_json(report.goal);
  json["within_goal"] = optional_json(summary.num_within_goal);
  json["hit_rate"] = optional_json(report.counters.hit_rate);
  json["predicted_over_measured"] = optional_json(report.counters.predicted_over_measured);
  json["steps_predicted_within_0.8_to_1.25"] = optional_json(report.counters.share_predicted_well);
  json["busy"] = summary.busy;
  json["notes"] = notes_of(report);
  return json;
}

Table to_table(const LoadReport& report) {
  Table table{{"request", "due_s", "begun_s", "first_token_s", "time_per_output_token_s",
               "longest_gap_s", "answer_s", "prompt_tokens", "planned_prompt_tokens",
               "reply_tokens", "planned_reply_tokens", "cached_tokens", "texts", "status", "error"},
              {}};
  for (size_t i = 0; i < report.records.size(); ++i) {
    const RequestRecord& record = report.records[i];
    const Distribution gaps = distribution_of(gaps_of({record}));
    table.rows.push_back(
        {std::to_string(i), format_number(record.due), format_number(record.begun),
         seconds_field(record.first_token_seconds()), seconds_field(record.seconds_per_token()),
         gaps.count > 0 ? format_number(gaps.worst) : "",
         format_number(record.ended - record.begun), count_field(record.usage.prompt),
         std::to_string(record.prompt_tokens), std::to_string(record.num_tokens()),
         std::to_string(record.reply_tokens), count_field(record.usage.cached),
         std::to_string(record.num_events()), std::to_string(record.status), record.error});
  }
  return table;
}

ReportPage load_page(const LoadReport& report) {
  const LoadSummary& summary = report.summary;
  ReportPage page{"A load for " + report.server.model, rates_text(summary), {}, {}};
  PageTable table{
      "Times of replies that are whole", {"", "p50", "p90", "p99", "worst", "mean"}, {}};
  for (const NamedTimes& each : kTimes) {
    const Distribution& times = summary.*each.times;
    if (times.count == 0) continue;
    table.rows.push_back({{each.name},
                          {format_seconds(times.p50)},
                          {format_seconds(times.p90)},
                          {format_seconds(times.p99)},
                          {format_seconds(times.worst)},
                          {format_seconds(times.mean)}});
  }
  PageSection times{"How long it took", {std::move(table)}};
  if (auto chart = times_chart(report)) times.parts.push_back(std::move(*chart));
  page.sections.push_back(std::move(times));
  PageSection more{"Beside it", {}};
  std::vector<std::string> lines = lines_of(report);
  for (std::string& note : notes_of(report)) lines.push_back(std::move(note));
  for (std::string& line : lines) {
    more.parts.emplace_back(std::in_place_type<PageText>, PageText{std::move(line)});
  }
  if (!more.parts.empty()) page.sections.push_back(std::move(more));
  page.facts = {{"server", report.url + ", " + report.server.name()},
                {"load", report.load},
                {"this program", "busy " + percent(summary.busy) + " of one core's time"}};
  return page;
}

}  // namespace longgen

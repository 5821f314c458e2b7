#include <fmt/format.h>

#include "longgen/base/log.h"
#include "longgen/measure/report.h"
#include "longgen/report/gnuplot.h"
#include "longgen/report/table.h"

namespace longgen {
namespace {

Table effects_csv(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  Table table;
  table.columns = {report.by_head() ? "kv_head" : "layer",
                   "chosen",
                   "perplexity_over_full",
                   "kl",
                   "answers_lost",
                   "right",
                   "answers",
                   "lost"};
  if (report.gates) table.columns.push_back("lost_by_gates");
  for (const LayerEffect& effect : choice.effects) {
    const VariantLoss loss = report.loss_of(effect.alone);
    table.rows.push_back(
        {report.unit_name(effect.layer), report.is_chosen(effect.layer) ? "1" : "0",
         fmt::format("{:.6g}", loss.perplexity), fmt::format("{:.6g}", loss.kl),
         fmt::format("{:.6g}", loss.answers), std::to_string(effect.alone.num_right),
         std::to_string(effect.alone.num_answers), fmt::format("{:.6g}", loss.lost)});
    if (report.gates) {
      table.rows.back().push_back(fmt::format("{:.6g}", report.gates->lost.at(effect.layer)));
    }
  }
  return table;
}

constexpr const char* kPicture = "measure";

/// Writes one line a unit: its number, KL, what answers lose, whether it is chosen. Units of one
/// layer stand side by side at its number.
std::string picture_data(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  std::string data = "# layer kl answers_lost chosen\n";
  for (const LayerEffect& effect : choice.effects) {
    const VariantLoss loss = report.loss_of(effect.alone);
    const double place =
        (static_cast<double>(effect.layer) + 0.5) / static_cast<double>(report.per_layer) - 0.5;
    data += fmt::format("{:.6g} {:.6g} {:.6g} {}\n", place, loss.kl, loss.answers,
                        report.is_chosen(effect.layer) ? 1 : 0);
  }
  return data;
}

std::string picture_script(const MeasureReport& report) {
  const auto bars = [](const char* title, int column) {
    return fmt::format(
        "set title '{0}'\n"
        "plot '{1}.dat' using 1:($4 == 0 ? ${2} : 0) with boxes lc rgb '#B0B0B0' title 'sparse in "
        "the plan', '{1}.dat' using 1:($4 == 1 ? ${2} : 0) with boxes lc rgb '#0072B2' title 'full "
        "in the plan'\n",
        title, kPicture, column);
  };
  const std::string body =
      fmt::format(
          "set multiplot layout 2,1\n"
          "set style fill solid noborder\n"
          "set boxwidth {:.6g}\n"
          "set xrange [-0.7:{:.6g}]\n"
          "set xtics 0,{} nomirror out\n"
          "set ytics nomirror\n"
          "set yrange [0:*]\n"
          "set border 3\n"
          "set key outside center bottom horizontal\n"
          "set lmargin 12\n"
          "set xlabel '{}'\n"
          "set ylabel 'nats a token'\n",
          0.8 / static_cast<double>(report.per_layer), static_cast<double>(report.num_layers) - 0.3,
          1 + report.num_layers / 20,
          report.by_head() ? "layer of the KV head that is sparse, all others full"
                           : "layer that is sparse, all others full") +
      bars("What far text loses: KL to the full model", 2) +
      bars("What answers to recall questions lose: log-probability", 3) + "unset multiplot\n";
  constexpr int64_t kWidth = 960, kHeight = 720;
  return gnuplot_script(kPicture, kWidth, kHeight, body);
}

}  // namespace

void write_measurement(const MeasureReport& report, const fs::path& folder) {
  write_file(folder / "measurement.json", dump_json(to_json(report), 2) + "\n");
  write_file(folder / (report.by_head() ? "heads.csv" : "layers.csv"), to_csv(effects_csv(report)));
  write_file(folder / (std::string(kPicture) + ".dat"), picture_data(report));
  write_file(folder / (std::string(kPicture) + ".gp"), picture_script(report));
  const std::string problem = run_gnuplot("gnuplot", folder, kPicture);
  if (!problem.empty()) log_warning(problem);
}

}  // namespace longgen

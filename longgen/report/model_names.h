// report/model_names.h: what models and their reports are called.
#pragma once

#include <string>
#include <vector>

#include "longgen/base/files.h"

namespace longgen {

/// Names the models of one command: by the folder, or by the one above where that is called "model"
/// (as in a run of extend, whose name says more). Where folders of one name stand in different
/// places, as much of the path goes before it as tells them apart: "a/hyb", "b/hyb". The same
/// folder has the same name each time.
std::vector<std::string> model_names(const std::vector<std::string>& directories);

/// Spells a model directory in one way, whatever path leads to it: settings.directory of reports.
std::string report_directory(const std::string& directory);

/// Names the report of one model: `kind`, "-" and the model's name, in which other characters than
/// letters, digits, - _ . become _ ("needle-a_hyb"). Where the folder has the report of another
/// model directory, or of another cache policy of this one, under this name already, "-2" follows,
/// or the first number that is free; a report of the same two (its settings' directory and policy)
/// is replaced. `policy` is empty for none.
std::string model_report_name(const fs::path& folder, const std::string& kind,
                              const std::string& model, const std::string& directory,
                              const std::string& policy = "");

}  // namespace longgen

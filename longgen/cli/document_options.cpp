#include "longgen/cli/document_options.h"

#include "longgen/base/check.h"
#include "longgen/cli/options.h"

namespace longgen {

void add_text_field_option(CLI::App* app, std::string& field) {
  app->add_option("--text-field", field,
                  "field of a JSON line that holds the document (default text)")
      ->option_text("NAME");
}

void add_skip_bad_flag(CLI::App* app, bool& skip_bad) {
  app->add_flag("--skip-bad", skip_bad,
                "count and leave out bad lines instead of stopping at the first");
}

void add_document_source_options(CLI::App* app, DocumentSource& source) {
  app->add_option("--text", source.texts, "documents: files or folders as for prepare")
      ->allow_extra_args(false)
      ->option_text("FILE");
  add_text_field_option(app, source.text_field);
  app->add_option("--data", source.data, "documents: a dataset that prepare wrote")
      ->option_text("DIR");
  add_choice_option(app, "--split", source.split, {kHeldOutSplit, kTrainSplit},
                    "which part of the dataset (default held_out)");
}

void expect_documents(const DocumentSource& source) {
  LG_CHECK(source.texts.empty() != source.data.empty(),
           "give the documents by either --text FILE or --data DATASET.");
}

}  // namespace longgen

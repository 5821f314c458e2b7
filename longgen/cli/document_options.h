// cli/document_options.h: which documents a command reads.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "longgen/data/documents.h"

namespace longgen {

/// Adds --text-field: where a JSON line holds the document.
void add_text_field_option(CLI::App* app, std::string& field);

/// Adds --skip-bad: bad lines are counted and left out.
void add_skip_bad_flag(CLI::App* app, bool& skip_bad);

/// Adds --text and --text-field, and instead of them --data and --split.
void add_document_source_options(CLI::App* app, DocumentSource& source);

/// Throws Error unless there are either texts or a dataset.
void expect_documents(const DocumentSource& source);

}  // namespace longgen

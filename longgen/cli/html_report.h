// cli/html_report.h: reports as a page of HTML, written with --html FILE.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "longgen/report/html_page.h"

namespace longgen {

/// Adds --html FILE, which stays empty when it is not given.
void add_html_option(CLI::App* app, std::string& file);

/// Makes the folder of the file where it is missing and tries that a file can be written there, so
/// that this is found before hours of work. Throws Error. Does nothing without a file.
void try_html_file(const std::string& file);

/// Writes the page. Its facts begin with the command line, the program with the kernels and the GPU
/// that it found, and the date; those that the page has follow.
void write_html_report(ReportPage page, const std::string& command_line, const std::string& file);

}  // namespace longgen

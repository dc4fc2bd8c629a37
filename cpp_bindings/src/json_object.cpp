#include "json_object.hpp"

#include <cmath>
#include <limits>

#include "error.hpp"

namespace dpiqa::core {
namespace {

constexpr int kMaxDepth = 32;

// Parsing and everything after it recurse: what is nested too deep would end the process.
bool is_too_deep(const std::string& document) {
    int depth = 0;
    bool in_text = false;
    for (std::size_t i = 0; i < document.size(); ++i) {
        const char c = document[i];
        if (in_text && c == '\\') {
            ++i;
        } else if (c == '"') {
            in_text = !in_text;
        } else if (!in_text && (c == '[' || c == '{')) {
            if (++depth > kMaxDepth) return true;
        } else if (!in_text && (c == ']' || c == '}')) {
            --depth;
        }
    }
    return false;
}

std::string joined(std::initializer_list<const char*> names) {
    std::string text;
    for (const char* name : names) text += (text.empty() ? "'" : ", '") + std::string(name) + "'";
    return text;
}

std::string shown(const nlohmann::json& value) {
    std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (text.size() > 80) text = text.substr(0, 77) + "...";
    return ", found " + text;
}

std::string plain(double number) {
    std::string text = nlohmann::json(number).dump();
    return text.size() > 2 && text.compare(text.size() - 2, 2, ".0") == 0 ? text.substr(0, text.size() - 2) : text;
}

}  // namespace

JsonObject JsonObject::parse(const std::string& document, const std::string& file, const std::string& what) {
    if (is_too_deep(document))
        throw ContractError(file + ": its " + what + " is nested deeper than " + std::to_string(kMaxDepth) + " levels");
    nlohmann::json json = nlohmann::json::parse(document, nullptr, false);
    if (json.is_discarded()) throw ContractError(file + ": its " + what + " is not JSON");
    if (!json.is_object()) throw ContractError(file + ": its " + what + " must be a JSON object, found " + json.type_name());
    return JsonObject(std::move(json), file, what, "");
}

void JsonObject::refuse(const std::string& field, const std::string& why) const {
    throw ContractError(file_ + ": " + what_ + " field '" + prefix_ + field + "': " + why);
}

const nlohmann::json& JsonObject::value(const char* field) const {
    const auto found = json_.find(field);
    if (found == json_.end()) refuse(field, "is missing");
    return *found;
}

void JsonObject::only(std::initializer_list<const char*> fields) const {
    for (const auto& item : json_.items()) {
        bool known = false;
        for (const char* field : fields) known = known || item.key() == field;
        if (!known) refuse(item.key(), "is not known to this release, expected one of: " + joined(fields));
    }
}

std::string JsonObject::text(const char* field) const {
    const nlohmann::json& found = value(field);
    if (!found.is_string() || found.get_ref<const std::string&>().empty())
        refuse(field, "must be a text of at least one character" + shown(found));
    return found.get<std::string>();
}

std::string JsonObject::text(const char* field, std::initializer_list<const char*> allowed) const {
    const nlohmann::json& found = value(field);
    for (const char* one : allowed)
        if (found == one) return one;
    refuse(field, "must be one of " + joined(allowed) + shown(found));
}

std::int64_t JsonObject::integer(const char* field, std::int64_t minimum, std::int64_t maximum) const {
    const nlohmann::json& found = value(field);
    const bool fits = found.is_number_integer() &&
                      (!found.is_number_unsigned() ||
                       found.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    const std::int64_t number = fits ? found.get<std::int64_t>() : 0;
    if (!fits || number < minimum || number > maximum)
        refuse(field, "must be a whole number from " + std::to_string(minimum) + " to " + std::to_string(maximum) +
                          shown(found));
    return number;
}

double JsonObject::number(const char* field) const {
    const nlohmann::json& found = value(field);
    if (!found.is_number() || !std::isfinite(found.get<double>())) refuse(field, "must be a number" + shown(found));
    return found.get<double>();
}

double JsonObject::number(const char* field, double minimum, double maximum) const {
    const double found = number(field);
    if (found < minimum || found > maximum)
        refuse(field, "must be from " + plain(minimum) + " to " + plain(maximum) + shown(value(field)));
    return found;
}

bool JsonObject::flag(const char* field) const {
    if (!has(field)) return false;
    const nlohmann::json& found = value(field);
    if (!found.is_boolean()) refuse(field, "must be true or false" + shown(found));
    return found.get<bool>();
}

std::vector<double> JsonObject::numbers(const char* field) const {
    const nlohmann::json& found = value(field);
    if (!found.is_array()) refuse(field, "must be a list of numbers" + shown(found));
    std::vector<double> numbers;
    for (const auto& item : found) {
        if (!item.is_number() || !std::isfinite(item.get<double>())) refuse(field, "must hold numbers" + shown(item));
        numbers.push_back(item.get<double>());
    }
    return numbers;
}

std::vector<std::string> JsonObject::texts(const char* field) const {
    const nlohmann::json& found = value(field);
    if (!found.is_array()) refuse(field, "must be a list of texts" + shown(found));
    std::vector<std::string> texts;
    for (const auto& item : found) {
        if (!item.is_string() || item.get_ref<const std::string&>().empty())
            refuse(field, "must hold texts of at least one character" + shown(item));
        texts.push_back(item.get<std::string>());
    }
    return texts;
}

JsonObject JsonObject::object(const char* field) const {
    const nlohmann::json& found = value(field);
    if (!found.is_object()) refuse(field, "must be an object" + shown(found));
    return JsonObject(found, file_, what_, prefix_ + field + ".");
}

std::vector<JsonObject> JsonObject::objects(const char* field) const {
    const nlohmann::json& found = value(field);
    if (!found.is_array()) refuse(field, "must be a list" + shown(found));
    std::vector<JsonObject> objects;
    for (const auto& item : found) {
        const std::string place = prefix_ + field + "." + std::to_string(objects.size());
        if (!item.is_object()) refuse(field, "must hold objects" + shown(item));
        objects.push_back(JsonObject(item, file_, what_, place + "."));
    }
    return objects;
}

}  // namespace dpiqa::core

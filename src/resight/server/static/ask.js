// The one dialog that asks before anything is changed.

import { $, h, replace } from "./dom.js";

const dialog = $("ask");

/**
 * Ask, and act on the answer; an error of the action is shown in the dialog, which stays.
 *
 * @param {object} question
 * @param {string} question.title what will be done
 * @param {string[]} question.text sentences that say what it means
 * @param {object[]} question.fields {name, label, value, type, list, options, optional, accept, multiple, folder}
 * @param {string} question.confirm the button's word
 * @param {boolean} question.danger whether it cannot be undone
 * @param {string} question.typed what has to be typed before the button works
 * @param {(values: object, tell: (sentence: string) => void) => Promise<void>} question.act what to do; it may `tell`
 */
export function ask({ title, text = [], fields = [], confirm, danger = false, typed = null, act }) {
  const error = h("p", { class: "error", role: "alert" });
  const button = h("button", { class: danger ? "danger" : "main", disabled: typed !== null }, confirm);
  const typing = typed !== null && [
    h(
      "label",
      {},
      h("span", {}, "Type ", h("b", {}, typed), " to go on"),
      h("input", { name: "typed", autocomplete: "off", spellcheck: "false", oninput: compare }),
    ),
  ];
  const form = h(
    "form",
    { onsubmit: submit, onkeydown: enter },
    h("h2", { id: "ask-title" }, title),
    text.map((sentence) => h("p", {}, sentence)),
    fields.map(control),
    typing,
    error,
    h("div", { class: "actions" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), button),
  );

  function compare({ target }) {
    button.disabled = target.value.trim() !== typed.trim();
  }

  /** Enter goes on from a list of options as well, where browsers do nothing. */
  function enter(event) {
    if (event.key !== "Enter" || event.target.tagName !== "SELECT") return;
    event.preventDefault();
    form.requestSubmit(button);
  }

  const asking = document.activeElement?.closest("[data-id]")?.dataset.id;

  async function submit(event) {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    error.textContent = "";
    try {
      await act(values(form), (sentence) => (error.textContent = sentence));
      if (form.isConnected) dialog.close();
      if (!document.activeElement.checkVisibility() || document.activeElement === document.body) goBack(asking);
    } catch (problem) {
      error.textContent = problem.message;
      button.disabled = false;
    }
  }

  replace(dialog, form);
  if (!dialog.open) dialog.showModal();
  (form.querySelector("input:not([type=file]), select") ?? form.querySelector("button")).focus();
}

/** What was filled in, by name; of a field for several files an array. */
function values(form) {
  const content = new FormData(form);
  const found = Object.fromEntries(content);
  for (const input of form.querySelectorAll("input[type=file]")) {
    const files = content.getAll(input.name).filter((file) => file.size || file.name);
    found[input.name] = input.multiple ? files : files[0];
  }
  return found;
}

/** What had the focus is gone: go to what stands for the same record now, or else to the section's heading. */
function goBack(id) {
  const section = document.querySelector("main > section:not([hidden])");
  const same = id && section.querySelector(`[data-id="${CSS.escape(id)}"] button`);
  (same || section.querySelector("h1")).focus({ preventScroll: true });
}

function control({ name, label, value = "", type = "text", list, options, optional = false, accept, ...more }) {
  const shared = { name, required: !optional && type !== "checkbox" };
  const input = options
    ? h(
        "select",
        shared,
        options.map((option) => h("option", { value: option, selected: option === value }, option)),
      )
    : h("input", {
        ...shared,
        type,
        list,
        accept,
        multiple: more.multiple,
        webkitdirectory: more.folder,
        value: type === "file" || type === "checkbox" ? null : value,
        autocomplete: "off",
        maxlength: type === "text" ? 200 : null,
        step: type === "datetime-local" ? 1 : null,
      });
  return type === "checkbox" ? h("label", { class: "check" }, input, label) : h("label", {}, label, input);
}

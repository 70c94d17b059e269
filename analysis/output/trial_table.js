// The table of the browser of trials. The code of itables comes from the kernel when the table is shown, so that a
// saved notebook does not contain it. Without a kernel, the page shows the best trials.

function receiveCode(model) {
  return new Promise((resolve) => {
    const receive = (message, buffers) => {
      if (message.kind !== "code") return;
      model.off("msg:custom", receive);
      resolve(buffers.map((buffer) => new TextDecoder().decode(buffer)));
    };
    model.on("msg:custom", receive);
    model.send({ kind: "code" });
  });
}

async function importCode(script) {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

async function copy(model, text) {
  try {
    await navigator.clipboard.writeText(text);
    model.send({ kind: "copied" });
  } catch {
    // The page may not write to the clipboard. The text is shown anyway.
  }
}

async function render({ model, el }) {
  el.innerHTML = model.get("without_kernel");
  const [script, style] = await receiveCode(model);
  const table = await importCode(script);
  el.replaceChildren(Object.assign(document.createElement("style"), { textContent: style }));
  await table.render({ model, el });

  // The kernel sorts, so that numbers, texts and missing values have the order that they have in pandas.
  el.addEventListener("click", (event) => {
    const column = event.target.closest("thead th")?.dataset.dtColumn;
    if (column !== undefined) model.send({ kind: "sort", column: Number(column) });
  });
  const onMessage = (message) => message.kind === "copy" && copy(model, message.text);
  model.on("msg:custom", onMessage);
  return () => model.off("msg:custom", onMessage);
}

export default { render };

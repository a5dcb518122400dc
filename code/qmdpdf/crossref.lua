-- Cross-references, theorems, figures and tables of Quarto's Markdown, as LaTeX.
-- Problems (an unknown or a repeated label) are all reported on stderr as "qmdpdf<TAB>kind<TAB>label"; then pandoc stops.

local labelling = dofile(pandoc.path.join({ pandoc.path.directory(PANDOC_SCRIPT_FILE), "labels.lua" }))
local kind = labelling.kind
local environments = { thm = "theorem", lem = "lemma", cor = "corollary", prp = "proposition", def = "definition" }

local labels, unnumbered, problems = {}, {}, {}

local function problem(kind, label)
  problems[#problems + 1] = "qmdpdf\t" .. kind .. "\t" .. label .. "\n"
end

local function declare(label)
  if labels[label] then problem("duplicate", label) end
  labels[label] = true
end

local function latex(text) return pandoc.RawInline("latex", text) end
local function latex_block(text) return pandoc.RawBlock("latex", text) end

-- $$ ... $$ {#eq-x}  ->  a numbered equation
local function equations(block)
  return labelling.equations(block, function(math, label)
    declare(label)
    local body = pandoc.Span(latex(math.text), pandoc.Attr(label))
    return { latex("\\begin{equation}"), body, latex("\\end{equation}") }
  end)
end

-- the last paragraph of a figure or table Div is its caption
local function caption_of(div)
  local last = div.content[#div.content]
  if last and last.t == "Para" then
    div.content:remove(#div.content)
    return last.content
  end
  return pandoc.Inlines({})
end

local function captioned(command, label, inlines)
  local out = pandoc.Inlines({ latex("\n\\" .. command .. "{\\label{" .. label .. "}") })
  out:extend(inlines)
  out:insert(latex("}\n"))
  return out
end

-- the images of a figure Div, each with its label: pandoc makes an image with a caption a Figure, which takes the label
local function images_of(div)
  local images = {}
  for _, block in ipairs(div.content) do
    local label = block.identifier or ""
    block:walk({
      Image = function(image) images[#images + 1] = { image = image, label = label ~= "" and label or image.identifier } end,
    })
  end
  return images
end

local function figure(div)
  local label, caption = div.identifier, caption_of(div)
  declare(label)
  local grid = div.attributes["layout-ncol"]
  local columns = tonumber(grid or 1)
  local width = string.format("%.3f", 0.98 / columns)
  local body = pandoc.Inlines({ latex("\\centering\n") })
  for i, item in ipairs(images_of(div)) do
    if item.label == "" and not grid then
      body:insert(item.image)
    else
      body:insert(latex("\\begin{minipage}[t]{" .. width .. "\\linewidth}\\centering\n"))
      body:insert(item.image)
      if item.label ~= "" then
        declare(item.label)
        body:extend(captioned("subcaption", item.label, item.image.caption))
      end
      body:insert(latex("\\end{minipage}" .. (i % columns == 0 and "\\par\\medskip\n" or "\\hfill%\n")))
    end
  end
  body:extend(captioned("caption", label, caption))
  return { latex_block("\\begin{figure}"), pandoc.Plain(body), latex_block("\\end{figure}") }
end

local function label_caption(tbl, label)
  declare(label)
  local long = tbl.caption.long
  if #long == 0 then long = pandoc.Blocks({ pandoc.Plain({}) }) end
  long[1].content:insert(1, latex("\\label{" .. label .. "}"))
  tbl.caption.long = long
  return tbl
end

local function table_div(div)
  local caption, found = caption_of(div), false
  local content = div:walk({
    Table = function(tbl)
      found = true
      tbl.caption.long = pandoc.Blocks({ pandoc.Plain(caption) })
      return label_caption(tbl, div.identifier)
    end,
  }).content
  if not found then problem("empty", div.identifier) end
  return content
end

-- : Caption {#tbl-x}  below a hand-written table
local function hand_table(tbl)
  local label = tbl.identifier
  if kind(label) then
    tbl.identifier = ""
    return label_caption(tbl, label)
  end
end

-- the name of a theorem or proof as LaTeX's optional argument: its `name` attribute or the heading it starts with
local function name_of(div)
  local name = pandoc.utils.blocks_to_inlines(pandoc.read(div.attributes.name or "", "markdown").blocks)
  if div.content[1] and div.content[1].t == "Header" then
    name = div.content[1].content
    div.content:remove(1)
  end
  if #name == 0 then return name end
  name:insert(1, latex("[{"))
  name:insert(latex("}]"))
  return name
end

-- the head on a line of its own, which code or a table would be printed over
local function alone_before(block)
  local covers = block and (block.t == "CodeBlock" or block.t == "Table")
  return covers and pandoc.Inlines({ latex("\\leavevmode\\par\n") }) or pandoc.Inlines({})
end

local function theorem(div)
  local label = div.identifier
  declare(label)
  local environment = environments[kind(label)]
  local head = pandoc.Inlines({ latex("\\begin{" .. environment .. "}") })
  head:extend(name_of(div))
  head:insert(latex("\\protect\\hypertarget{" .. label .. "}{}\\label{" .. label .. "}"))
  head:extend(alone_before(div.content[1]))
  div.content:insert(1, pandoc.Para(head))
  div.content:insert(latex_block("\\end{" .. environment .. "}"))
  return div.content
end

local function proof(div)
  local head = pandoc.Inlines({ latex("\\begin{proof}") })
  head:extend(name_of(div))
  head:extend(alone_before(div.content[1]))
  div.content:insert(1, pandoc.Plain(head))
  local last = div.content[#div.content]
  if last.t == "Para" then  -- on the same line, so that the end mark follows the last word
    last.content:insert(latex("\n\\end{proof}"))
  else
    div.content:insert(latex_block("\\end{proof}"))
  end
  return div.content
end

local function references(cite)
  return labelling.references(cite, function(label)
    if not labels[label] then problem("unknown", label) end
    return latex("\\ref{" .. label .. "}")
  end)
end

function Pandoc(doc)
  doc = doc:walk({
    Para = equations,
    Plain = equations,
    Table = hand_table,
    Header = function(header)
      local numbered = PANDOC_WRITER_OPTIONS.number_sections and not header.classes:includes("unnumbered")
      local label = kind(header.identifier) and header.identifier
      if label and numbered then declare(label) end
      if label and unnumbered[label] then problem("duplicate", label) end
      if label and not numbered then
        if labels[label] then problem("duplicate", label) end
        unnumbered[label] = true
      end
    end,
  })
  doc = doc:walk({
    Div = function(div)
      local prefix = kind(div.identifier)
      if prefix == "fig" then return figure(div) end
      if prefix == "tbl" then return table_div(div) end
      if environments[prefix] then return theorem(div) end
      if div.classes:includes("proof") then return proof(div) end
    end,
  })
  -- what is left are figures written by hand: ![caption](file){#fig-x}
  doc = doc:walk({
    Figure = function(fig) if kind(fig.identifier) then declare(fig.identifier) end end,
  })
  doc:walk({
    Image = function(image)
      local label = image.identifier
      if kind(label) and not labels[label] then problem("bare", label) end
    end,
  })
  doc = doc:walk({
    Cite = references,
    Str = function(str)
      local label = str.text:match("^{#(%l+%-[%w-]+)")
      if label then problem("misplaced", label) end
    end,
  })
  if #problems > 0 then
    for _, text in ipairs(problems) do io.stderr:write(text) end
    os.exit(3)
  end
  return doc
end

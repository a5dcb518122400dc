-- What filters of Quarto's Markdown share: which labels there are, and where an equation has one.

local words = { fig = "Figure", tbl = "Table", eq = "Equation", sec = "Section", thm = "Theorem", lem = "Lemma",
                cor = "Corollary", prp = "Proposition", def = "Definition" }

-- the kind of thing that a label names, such as "fig"; nil where it is no label
local function kind(label)
  local prefix = label:match("^(%l+)%-")
  return words[prefix] and prefix
end

-- a paragraph with each $$ ... $$ {#eq-x} replaced by the inlines that write(math, label) gives
local function equations(block, write)
  local out, inlines, i = pandoc.Inlines({}), block.content, 1
  while i <= #inlines do
    local el = inlines[i]
    local j = i + 1
    while inlines[j] and (inlines[j].t == "Space" or inlines[j].t == "SoftBreak") do j = j + 1 end
    local label = el.t == "Math" and el.mathtype == "DisplayMath" and inlines[j] and inlines[j].t == "Str"
                  and inlines[j].text:match("^{#(eq%-[^ }]+)}$")
    if label then
      out:extend(write(el, label))
      i = j + 1
    else
      out:insert(el)
      i = i + 1
    end
  end
  block.content = out
  return block
end

return { words = words, kind = kind, equations = equations }

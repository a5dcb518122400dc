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

-- the references of a citation, such as "Figure 3, Equation 4", with the inlines that number(label) gives; nil where it
-- cites something that has no label
local function references(cite, number)
  local out = pandoc.Inlines({})
  for i, citation in ipairs(cite.citations) do
    local prefix = kind(citation.id)
    if not prefix then return nil end
    local value = number(citation.id)
    if i > 1 then out:extend({ pandoc.Str(","), pandoc.Space() }) end
    if #citation.prefix > 0 then
      out:extend(citation.prefix)
      out:insert(pandoc.Str("\u{a0}"))
    elseif citation.mode ~= "SuppressAuthor" then
      out:insert(pandoc.Str(words[prefix] .. "\u{a0}"))
    end
    out:insert(value)
  end
  return out
end

return { words = words, kind = kind, equations = equations, references = references }

"""Homework 2 of ECE 046211 (Technion): the derivations as checked claims, the
experiments as recorded runs.
"""
